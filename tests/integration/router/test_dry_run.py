"""Dry-runs over 100,000 retained claims: the same as live, ranges, samples, several at a time, cancelled."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.router.dry_run.runs import TOPIC, Run
from agents.router.dry_run.service import MAX_RUNNING
from fleet.errors import TransientError
from fleet.settings import Settings
from tables.errors import NotFoundError
from tests.support.lane_kafka import Cluster
from tests.support.polling import until
from tests.support.router_claims import CANONICAL, Published
from tests.support.router_runs import (
    LIMIT_S,
    ended,
    noted,
    open_runs,
    planned,
    report_of,
    router_worker,
    rule,
)
from tests.support.stack import ROOT, environment

REGIONS = ("TX", "OH", "FL", "CA", "NY", "WA", "IL", "GA")
BASELINE = (
    *(
        rule(f"region-{name.lower()}", f"attributes.region == '{name}'", targets=[f"team.{name.lower()}"])
        for name in REGIONS
    ),
    rule("urgent", "attributes.priority == 'urgent'", targets=["team.urgent", "team.tx"]),
    rule("big", "event.total_charge > 900", targets=["team.big"]),
    rule("first", "event.place_of_service == '23'", targets=["team.places"], group="places", priority=1),
    rule("second", "event.frequency_code == '7'", targets=["team.places"], group="places", priority=2),
)
DRAFT: tuple[dict[str, Any], ...] = (
    {"name": "big", "condition": "event.total_charge > 600 && attributes.region != 'TX'"},
    {
        "name": "second",
        "condition": "event.service_lines.exists(l, l.charge > 300)",
        "key": "event.member_id",
    },
    {"name": "rest", "condition": "true", "targets": ["team.rest"], "group": "places", "default": True},
)
WHOLE = [
    {"owner": "team", "source": CANONICAL, "targets": [f"team.{each['name']}"], **each}
    | ({"group": "places", "priority": 2} if each["name"] == "second" else {})
    for each in DRAFT
]


async def test_it_equals_the_later_live_result(
    stack_settings: Settings, published: Published, tmp_path: Path
) -> None:
    """Every copy of every event: the dry-run's, and those of a router that starts with the rules active."""
    job = planned(BASELINE, rules=WHOLE, without=["region-ga"])
    with noted() as (_, after):
        report = await report_of(stack_settings, job)
    assert report["read"] == report["events"] == len(published.claims)
    expected = {
        (str(partition), offset, topic): label
        for (partition, offset), copies in after.items()
        for topic, label in copies.items()
    }
    cluster = Cluster(stack_settings.kafka)
    topics = {topic for _, _, topic in expected}
    await cluster.create(dict.fromkeys(topics, 3))
    rows = [(each["name"].encode(), msgspec.json.encode(each)) for each in job.draft]
    await cluster.send("fleet.config.routes", rows, partitions=1)
    with router_worker(stack_settings, tmp_path):
        await until(lambda: cluster.consumed("router", CANONICAL), LIMIT_S, "all claims routed")
    ids = {
        dict(each.headers)["ce_id"]: place
        for each, place in zip(published.claims, places(published), strict=True)
    }
    found = {}
    for topic in topics:
        for record in await cluster.read(topic):
            headers = dict(record.headers)
            partition, offset = ids[headers["ce_id"]]
            found[str(partition), offset, topic] = headers["fleet_rule"].decode()
    assert found == expected
    counts = Counter(topic for _, _, topic in found)
    assert {name: each["after"] for name, each in report["targets"].items() if each["after"]} == counts


def places(published: Published) -> Iterator[tuple[int, int]]:
    """Yield partition and offset of each claim: they were published in this order, and nothing else was."""
    ends: dict[int, int] = defaultdict(int)
    for claim in published.claims:
        yield claim.partition, ends[claim.partition]
        ends[claim.partition] += 1


async def test_the_difference_adds_up(stack_settings: Settings, published: Published) -> None:
    """Gained, lost, moved and unchanged are all events; what it says by target is what differs by event."""
    with noted() as (before, after):
        nowhere = {"name": "nowhere", "owner": "team", "source": CANONICAL, "targets": ["team.nowhere"]}
        report = await report_of(stack_settings, planned(BASELINE, rules=[*WHOLE, nowhere]))
    assert len(before) == len(after) == len(published.claims)
    kinds: Counter[str] = Counter()
    gained: Counter[str] = Counter()
    for place, new in after.items():
        more, less = new.keys() - before[place].keys(), before[place].keys() - new.keys()
        kinds["moved" if more and less else "gained" if more else "lost" if less else "unchanged"] += 1
        gained.update(more)
    assert {name: count for name, count in report["diff"].items() if name in kinds} == kinds
    assert {name: each["gained"] for name, each in report["targets"].items() if each["gained"]} == gained
    assert "team.nowhere" in report["unknown_topics"]
    assert report["config_offset"] == 7


async def test_a_range_of_offsets_is_read_alone(stack_settings: Settings, published: Published) -> None:
    """Offsets 100 to 149 of partitions 1 and 3, and nothing else."""
    job = planned(BASELINE, without=["big"], partitions=[1, 3], from_offset=100, until_offset=150)
    with noted() as (before, _):
        report = await report_of(stack_settings, job)
    assert sorted(before) == [(partition, offset) for partition in (1, 3) for offset in range(100, 150)]
    assert report["ranges"] == [
        {"topic": CANONICAL, "partition": partition, "from": 100, "until": 150} for partition in (1, 3)
    ]
    assert len(published.claims) > report["read"] == 100


async def test_a_range_of_times_is_by_publishing_time(stack_settings: Settings, published: Published) -> None:
    """From the first claim that was published then to the first that was published at the end."""
    records = sorted(await Cluster(stack_settings.kafka).read(CANONICAL), key=lambda record: record.timestamp)
    since, until_ms = records[30_000].timestamp, records[60_000].timestamp
    expected = [record for record in records if since <= record.timestamp < until_ms]
    times = {"since": instant(since), "until": instant(until_ms)}
    report = await report_of(stack_settings, planned(BASELINE, without=["big"], **times))
    assert report["read"] == len(expected)
    assert 0 < report["read"] < len(published.claims)


def instant(epoch_ms: int) -> str:
    """Return epoch milliseconds as RFC 3339."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat()


async def test_a_sample_is_part_of_the_whole(stack_settings: Settings, published: Published) -> None:
    """A tenth of the events, each decided as in the whole run; the report says what share."""
    with noted() as (_, whole):
        await report_of(stack_settings, planned(BASELINE, rules=WHOLE))
    with noted() as (_, part):
        report = await report_of(stack_settings, planned(BASELINE, rules=WHOLE, sample=0.1))
    assert part.items() <= whole.items()
    assert (report["sample"], report["read"]) == (0.1, len(published.claims))
    assert report["events"] == len(part)
    assert 0.08 < len(part) / len(whole) < 0.12


async def test_a_partition_that_is_not_there_is_told(stack_settings: Settings, published: Published) -> None:
    """The run fails with one line."""
    del published
    async with open_runs(stack_settings, "one") as runs:
        run = await runs.start(planned(BASELINE, without=["big"], partitions=[9]), {}, "test")
        run = await ended(runs, run.id)
    assert run.status == "failed"
    assert run.error == "canonical.claim has 6 partitions, no 9: name partitions from 0"


async def test_a_run_is_seen_by_others_and_outlives_its_owner(
    stack_settings: Settings, published: Published
) -> None:
    """Begun by one process, its end and report are read by another, also when the first is gone."""
    async with open_runs(stack_settings, "other") as other:
        async with open_runs(stack_settings, "owner") as owner:
            begun = await owner.start(planned(BASELINE, rules=WHOLE), {"rules": WHOLE}, "key:1")
            assert (await other.get(begun.id)).status == "running"
            await ended(owner, begun.id)
        run = await ended(other, begun.id)
        assert run.id in [each.id for each in await other.all()]
    assert (run.status, run.owner, run.by, run.request) == ("done", "owner", "key:1", {"rules": WHOLE})
    assert run.report is not None
    assert run.report["events"] == run.progress.events == len(published.claims)
    assert run.progress.done == run.progress.total


@pytest.mark.parametrize("canceller", ["owner", "other"])
async def test_a_run_is_cancelled_by_anybody(
    canceller: str, stack_settings: Settings, published: Published
) -> None:
    """By its own process, or by another: its process is gone, and all see who wanted it."""
    del published
    async with open_runs(stack_settings, "owner") as owner, open_runs(stack_settings, "other") as other:
        run = await owner.start(planned(BASELINE, rules=WHOLE), {}, "test")
        await {"owner": owner, "other": other}[canceller].cancel(run.id, "somebody")
        found = await ended(other, run.id)
        assert (found.status, found.error, found.report) == ("cancelled", "cancelled by somebody", None)
        again = await owner.cancel(run.id, "nobody")
        assert again.error == "cancelled by somebody"


async def test_only_so_many_run_at_a_time(stack_settings: Settings, published: Published) -> None:
    """One more is refused with what to do, and begins once one has ended."""
    del published
    async with open_runs(stack_settings, "owner") as owner:
        job = planned(BASELINE, rules=WHOLE)
        begun = [await owner.start(job, {}, "test") for _ in range(MAX_RUNNING)]
        with pytest.raises(TransientError, match="2 dry-runs are under way on owner: wait for one to end"):
            await owner.start(job, {}, "test")
        await owner.cancel(begun[0].id, "test")
        another = await owner.start(job, {}, "test")
        for each in (begun[1], another):
            await owner.cancel(each.id, "test")


async def test_a_run_whose_owner_is_gone_is_lost(stack_settings: Settings) -> None:
    """Without a word from its owner for 15 s it is shown as lost, with what to do."""
    row = Run(
        id="000000000001aaaaaaaa",
        status="running",
        owner="gone",
        by="test",
        request={},
        started_ms=0,
        heartbeat_ms=int(datetime.now(UTC).timestamp() * 1000) - 60_000,
    )
    cluster = Cluster(stack_settings.kafka)
    await cluster.send(TOPIC, [(row.id.encode(), msgspec.json.encode(row))], partitions=1)
    async with open_runs(stack_settings, "reader") as reader:

        async def listed() -> Run | None:
            return next((each for each in await reader.all() if each.id == row.id), None)

        run = await until(listed, LIMIT_S, "the run")
        assert run is not None
        assert run.status == "lost"
        assert run.error.startswith("gone has said nothing for 6")
        with pytest.raises(NotFoundError):
            await reader.get("000000000001bbbbbbbb")


async def test_its_process_ends_with_whoever_asked(stack_settings: Settings, published: Published) -> None:
    """Where stdin ends, as it does when the worker is killed, the process is gone with nothing to report."""
    del published
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agents.router.dry_run",
        cwd=ROOT,
        env=environment(stack_settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(planned(BASELINE, rules=WHOLE)) + b"\n")
    process.stdin.close()
    said = await asyncio.wait_for(process.stdout.read(), LIMIT_S)
    assert await process.wait() == 3
    assert b"report" not in said
