"""``eventfleet dead-letters`` on real topics: listed, counted, shown; payloads only on request."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import unused_port
from typer.testing import Result

from fleet.cli.dead_letters_acting import app as dead_letters
from fleet.lane.dead_letters import dead_letter_headers
from fleet.lane.effects import DeadLetter
from fleet.settings import Settings
from tests.support.commands import invoke
from tests.support.dead_letters import create_topics
from tests.support.lane_kafka import Cluster

SECRET = b"ISA*00*DOE*JANE~"
PUBLISHED_MS = 1_767_614_400_000  # 2026-01-05 12:00 UTC
FAILED_MS = int(time.time() * 1000)  # Kafka deletes by this time: not in the past


@dataclass(frozen=True)
class Letters:
    """Dead letters of this test, told apart by their reason, and the command that reads them."""

    settings: Settings
    reason: str
    places: list[tuple[int, int]]

    def command(self, *arguments: str) -> Result:
        """Run ``eventfleet dead-letters``."""
        return invoke(dead_letters, self.settings, *arguments)

    def list(self, *arguments: str) -> Result:
        """List those of this test."""
        return self.command("list", "--reason", self.reason, *arguments)


@pytest.fixture
def letters(stack_settings: Settings, unique: Callable[[str], str]) -> Letters:
    """Three dead letters of the router, the second with its payload left at the source."""
    return asyncio.run(_write(stack_settings, unique("no-such-segment"), unique("raw")))


async def _write(settings: Settings, reason: str, source: str) -> Letters:
    await create_topics(settings)
    cluster = Cluster(settings.kafka)
    await cluster.create({source: 1})
    places = []
    async with cluster.producer() as producer:
        await producer.send_and_wait(source, b"too large for its dead letter")
        for number in range(3):
            record: Any = SimpleNamespace(
                topic=source,
                partition=0,
                offset=number - 1,
                timestamp=PUBLISHED_MS,
                headers=[("ce_subject", b"a\x1b[31mfile.edi")],
            )
            headers = dead_letter_headers(
                "router", DeadLetter(record, reason, "decode", f"detail [{number}] of it")
            )
            checked = number == 1
            headers += [("fleet_dl_claim_check", b"source")] if checked else []
            sent = await producer.send_and_wait(
                "fleet.dead-letters.router",
                None if checked else SECRET,
                key=b"Jane",
                headers=headers,
                timestamp_ms=FAILED_MS + number,
            )
            places.append((sent.partition, sent.offset))
    return Letters(settings, reason, places)


def test_each_letter_is_a_line_with_its_origin(letters: Letters) -> None:
    """Newest last: when, who, where it is, why, where from; and never what was in it."""
    listed = letters.list()
    assert listed.exit_code == 0, listed.stderr
    rows = [line for line in listed.stdout.splitlines() if letters.reason in line]
    assert len(rows) == 3
    for number, row in enumerate(rows):
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  router/\d/\d+ +open ", row)
        assert f"detail [{number}] of it" in row
        assert f"/0/{number - 1} " in row
    assert "DOE" not in listed.stdout


def test_limit_keeps_the_newest_and_says_so(letters: Letters) -> None:
    """Nothing is left out in silence."""
    listed = letters.list("--limit", "1")
    assert "detail [2] of it" in listed.stdout
    assert "detail [1] of it" not in listed.stdout
    assert "The newest 1: there are more, see --limit." in listed.stdout


def test_json_is_one_object_a_line_for_programs(letters: Letters) -> None:
    """All coordinates, as numbers; no payload and no headers of the record."""
    listed = letters.list("--json", "--agent", "router")
    found = [orjson.loads(line) for line in listed.stdout.splitlines()]
    assert [(each["partition"], each["offset"]) for each in found] == letters.places
    assert found[2] | {"source_topic": ""} == {
        "agent": "router",
        "partition": letters.places[2][0],
        "offset": letters.places[2][1],
        "failed_at_ms": FAILED_MS + 2,
        "reason": letters.reason,
        "step": "decode",
        "detail": "detail [2] of it",
        "source_topic": "",
        "source_partition": 0,
        "source_offset": 1,
        "source_timestamp_ms": PUBLISHED_MS,
        "rule": "",
        "attempt": 1,
        "copy_of": "",
        "payload_at": "",
        "state": "open",
        "acted_at": "",
        "acted_by": "",
        "version": 0,
    }


def test_no_letters_is_said(letters: Letters) -> None:
    """An agent without any: a sentence, not an empty table."""
    assert letters.list("--agent", "normalizer").stdout == "No dead letters.\n"


def test_count_is_by_agent_and_reason(letters: Letters) -> None:
    """One row for each pair."""
    counted = letters.command("count").stdout
    (row,) = (line for line in counted.splitlines() if letters.reason in line)
    assert row.split() == ["router", letters.reason, "3"]


def test_show_gives_headers_without_the_payload(letters: Letters) -> None:
    """Reason, source and original headers; control characters of a publisher come as escapes."""
    partition, offset = letters.places[0]
    shown = letters.command("show", f"router/{partition}/{offset}")
    assert shown.exit_code == 0, shown.stderr
    fields = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines() if line)
    assert fields["reason"] == letters.reason
    assert fields["source"].endswith("/0/-1, published 2026-01-05 12:00:00Z")
    assert fields["payload"] == f"{len(SECRET)} bytes"
    assert fields["ce_subject"] == r"a\x1b[31mfile.edi"
    assert "DOE" not in shown.stdout


def test_show_payload_gives_the_bytes_alone_on_stdout(letters: Letters) -> None:
    """So that they can go into a file as they were; what people read goes to stderr."""
    partition, offset = letters.places[0]
    shown = letters.command("show", f"router/{partition}/{offset}", "--payload")
    assert shown.stdout_bytes == SECRET
    assert letters.reason in shown.stderr


def test_a_payload_left_at_the_source_is_read_there(letters: Letters) -> None:
    """A claim check is honoured."""
    partition, offset = letters.places[1]
    shown = letters.command("show", f"router/{partition}/{offset}", "--payload")
    assert shown.stdout_bytes == b"too large for its dead letter"
    assert "29 bytes, kept at the source" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("show", "router/0/999999"),
            "no dead letter router/0/999999: see `eventfleet dead-letters list`, column letter",
        ),
        (
            ("list", "--agent", "nobody"),
            (
                "no agent 'nobody' has dead letters: "
                "use one of aggregator, aggregator-history, aggregator-partials, normalizer, router"
            ),
        ),
    ],
)
def test_what_is_not_there_is_one_line(letters: Letters, arguments: tuple[str, ...], line: str) -> None:
    """The message says where to look."""
    failed = letters.command(*arguments)
    assert (failed.exit_code, failed.stderr) == (1, f"eventfleet: {line}\n")


def test_kafka_out_of_reach_is_one_line(stack_settings: Settings) -> None:
    """The address and the way out, no traceback."""
    address = f"127.0.0.1:{unused_port()}"
    away = stack_settings.model_copy(update={"bootstrap_servers": address})
    failed = invoke(dead_letters, away, "count")
    hint = "start it with `eventfleet stack up`, or set EVENTFLEET_BOOTSTRAP_SERVERS"
    assert (failed.exit_code, failed.stderr) == (
        1,
        f"eventfleet: Kafka at {address} does not answer: {hint}\n",
    )
