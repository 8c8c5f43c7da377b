"""Rules change while routers run: good ones reach every worker, bad ones reach none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tables.routes.kind import TOPIC as RULES_TOPIC
from tests.support.agents_claims import a_claim
from tests.support.agents_fleet import CANONICAL, SUBJECT, Fleet, apply
from tests.support.agents_mark import Mark
from tests.support.agents_rules import seen, standing
from tests.support.agents_views import ask
from tests.support.lane_processes import Worker
from tests.support.polling import until

LIVE_LIMIT_S = 60.0
BAD_CONDITION = "event.total_charge >\n  > 10"


def rule(name: str, target: str, **fields: Any) -> dict[str, Any]:
    """Return an active rule as a team writes it."""
    plain = {"name": name, "owner": "team", "source": CANONICAL, "targets": [target], "state": "active"}
    return {**plain, "condition": "event.total_charge == 4321.09", **fields}


def written(path: Path, *rules: dict[str, Any]) -> Path:
    """Write a rules file; JSON is YAML."""
    path.write_bytes(orjson.dumps(list(rules)))
    return path


async def test_a_new_rule_is_live_on_all_workers(
    fleet: Fleet, routers: list[Worker], tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """Applied once, both workers have it without a restart or a rebalance, and route by its version."""
    name, target = unique("live"), unique("team.live")
    await fleet.cluster.create({target: 2})
    before = await standing(fleet, routers)
    path = written(tmp_path / "rules.json", rule(name, target))
    code, said = await asyncio.to_thread(apply, fleet.settings, "routes", path)
    assert (code, said.strip()) == (0, f"{name}: version 1")
    active = await until(lambda: seen(routers, name), LIVE_LIMIT_S, "the rule on both workers")
    (row,) = [each for each in await fleet.cluster.read(RULES_TOPIC) if each.key == name.encode()]
    delays = [each["active_since"] - row.timestamp / 1000 for each in active]
    print("active after " + " and ".join(f"{seconds:.2f} s" for seconds in delays))  # noqa: T201 - for people
    assert [each["version"] for each in active] == [1, 1]
    assert await standing(fleet, routers) == before
    await sent_to_all_partitions(fleet)
    copies = await until(lambda: copied(fleet, target), LIVE_LIMIT_S, "six copies")
    assert [dict(copy.headers)["fleet_rule"] for copy in copies] == [f"{name}@1".encode()] * 6


async def test_a_change_is_the_next_version(
    fleet: Fleet, routers: list[Worker], tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """A rule that is the same is left alone, another text is version 2, and a pause ends its copies."""
    name, target = unique("changing"), unique("team.changing")
    await fleet.cluster.create({target: 1})
    for fields, version in (
        ({}, "version 1"),
        ({}, "unchanged (version 1)"),
        ({"state": "paused"}, "version 2"),
    ):
        path = written(tmp_path / "rules.json", rule(name, target, **fields))
        assert await asyncio.to_thread(apply, fleet.settings, "routes", path) == (0, f"{name}: {version}\n")

    async def paused() -> bool:
        return [each["state"] for each in await seen(routers, name)] == ["paused", "paused"]

    await until(paused, LIVE_LIMIT_S, "the pause on both workers")
    mark = await Mark.of(fleet)
    await sent_to_all_partitions(fleet)
    await mark.counted(events=6)
    assert await fleet.cluster.read(target) == []


async def sent_to_all_partitions(fleet: Fleet) -> None:
    """Send one claim to each partition that the rules of these tests match."""
    async with fleet.codec() as codec:
        value = codec.encode(SUBJECT, a_claim(charge="4321.09"))
    for partition in range(6):
        await fleet.send(CANONICAL, b"npi", value, partition=partition)


async def copied(fleet: Fleet, target: str) -> list[Any]:
    """Return the copies in `target`; empty while there are fewer than six."""
    copies = await fleet.cluster.read(target)
    return copies if len(copies) >= 6 else []


async def test_a_bad_rule_is_refused_by_the_command(
    fleet: Fleet, routers: list[Worker], tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """Exit 1 and one line with rule, line and column; the good rule beside it is not written either."""
    bad = rule("bad-one", "team.x", condition=BAD_CONDITION)
    path = written(tmp_path / "rules.json", rule(unique("good"), "team.x"), bad)
    rows = [each.value for each in await fleet.cluster.read(RULES_TOPIC)]
    offset = (await ask(routers[0], "/routes")).body["offset"]
    code, said = await asyncio.to_thread(apply, fleet.settings, "routes", path)
    assert code == 1
    assert len(said.strip().splitlines()) == 1
    assert "rule 'bad-one': condition line 2 column 3" in said
    assert [each.value for each in await fleet.cluster.read(RULES_TOPIC)] == rows
    assert (await ask(routers[0], "/routes")).body["offset"] == offset


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (orjson.dumps({**rule("NAME", "team.x", condition=BAD_CONDITION), "version": 2}), "line 2 column 3"),
        (b"\x00\xff not JSON", "rule is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (orjson.dumps({**rule("another", "team.x"), "version": 2}), "is in the row of"),
    ],
    ids=["condition", "bytes", "nesting", "another name"],
)
async def test_a_bad_row_keeps_the_last_good_rule(
    value: bytes, part: str, fleet: Fleet, routers: list[Worker], unique: Callable[[str], str]
) -> None:
    """Written past the command, it is shown as refused on both workers, which route by version 1."""
    name, target = unique("kept"), unique("team.kept")
    await fleet.cluster.create({target: 1})
    async with fleet.rule(name, condition="event.total_charge == 4321.09", targets=[target]):
        await until(lambda: seen(routers, name), LIVE_LIMIT_S, "the rule on both workers")
        bad = await fleet.send(RULES_TOPIC, name.encode(), value.replace(b"NAME", name.encode()))

        async def refused() -> list[str]:
            shown = [(await ask(worker, "/routes")).body["refused"].get(name, "") for worker in routers]
            return shown if all(shown) else []

        for line in await until(refused, LIVE_LIMIT_S, "the refusal on both workers"):
            assert line.startswith(f"offset {bad.place[2]}: ")
            assert part in line
        assert [each["version"] for each in await seen(routers, name)] == [1, 1]
        await sent_to_all_partitions(fleet)
        copies = await until(lambda: copied(fleet, target), LIVE_LIMIT_S, "six copies")
        assert {dict(copy.headers)["fleet_rule"] for copy in copies} == {f"{name}@1".encode()}

    async def forgotten() -> bool:
        shown = [(await ask(worker, "/routes")).body["refused"] for worker in routers]
        return not any(name in each for each in shown)

    await until(forgotten, LIVE_LIMIT_S, "the refusal gone with its row")
