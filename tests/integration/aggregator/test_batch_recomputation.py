"""Three aggregators, some killed outright, against a recomputation of the whole log in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.aggregator.domain.plan import build_id
from fleet.settings import Settings
from stack.embedded import EmbeddedStack
from tables.aggregations.acting import discard, switch
from tests.support.aggregate_batch import Batch, Question
from tests.support.aggregate_events import Logged, orders
from tests.support.aggregate_fleet import Aggregators, aggregators
from tests.support.aggregate_questions import QUESTIONS, question
from tests.support.aggregate_results import differences, epoch_ms, finals
from tests.support.api import ADMIN
from tests.support.stack import isolated_settings, parts_dir

PARTITIONS = 4
COUNT = 2_000
CHOSEN = ("tumbling", "hopping", "session", "calendar")


@pytest.fixture
def stack_settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a stack that only this test uses."""
    own = isolated_settings(tmp_path / "stack")
    with EmbeddedStack(own, parts_dir=parts_dir()):
        yield own


async def test_results_equal_a_recomputation_under_a_kill(stack_settings: Settings, tmp_path: Path) -> None:
    """Every function, in every kind of window: each final once, what was late told, with a worker killed.

    A second version that is built from history beside the first one, with another worker killed, is right
    too: no event is missed or counted twice where history and what comes meet.
    """
    async with aggregators(stack_settings, tmp_path, 3) as fleet:
        await finals_and_late(fleet)
        await history_beside_what_comes(fleet)


async def finals_and_late(fleet: Aggregators) -> None:
    """Define all, write half of the events, kill a worker, write the rest, compare."""
    topic = "shop.orders"
    events = orders(COUNT, seed=11, topics=[topic], partitions=PARTITIONS)
    await fleet.new_topic(topic, PARTITIONS)
    for name in CHOSEN:
        await fleet.define(name, QUESTIONS[name])
    for name in CHOSEN:
        begun = await fleet.begun(name, 1, {topic: PARTITIONS})
        assert set(begun.values()) == {0}
    await fleet.send(events[: COUNT // 2])
    fleet.workers[0].kill()
    await fleet.send(events[COUNT // 2 :])
    fleet.start()
    batch = Batch(events)
    for name in CHOSEN:
        await check(fleet, name, 1, QUESTIONS[name], batch, events)


async def history_beside_what_comes(fleet: Aggregators) -> None:
    """Change a definition after half of the events; kill a worker; switch; compare; go back; discard."""
    topic = "shop.history"
    first, second = (
        question({"kind": "tumbling", "size_ms": size_ms}, grace_ms=3_600_000, sources=[topic])
        for size_ms in (3_600_000, 7_200_000)
    )
    events = orders(COUNT, seed=12, topics=[topic], partitions=PARTITIONS)
    await fleet.new_topic(topic, PARTITIONS)
    await fleet.define("history", first)
    await fleet.begun("history", 1, {topic: PARTITIONS})
    await fleet.send(events[: COUNT // 2])
    await fleet.change("history", second, 1, start="earliest")
    begun = await fleet.begun("history", 2, {topic: PARTITIONS})
    fleet.workers[1].kill()
    fleet.start()
    await switch(fleet.services.aggregations, "history", 2, None, ADMIN)
    await fleet.serves("history", 2)
    await fleet.send(events[COUNT // 2 :])
    batch = Batch(events, begun)
    await check(fleet, "history", 2, second, batch, events, before=1)
    await switch(fleet.services.aggregations, "history", 1, None, ADMIN)
    await fleet.serves("history", 1)
    written = await discard(fleet.services.aggregations, "history", 2, None, ADMIN)
    assert [each["number"] for each in written["builds"]] == [1]


async def check(
    fleet: Aggregators,
    name: str,
    number: int,
    asked: Question,
    batch: Batch,
    events: list[Logged],
    *,
    before: int = 0,
) -> None:
    """Compare what a build has in the table, and wrote, with what it had to.

    What ended before the end of a window that the build `before` wrote a final of may have none of this one.
    """
    right, build = batch.finals(asked), build_id(name, number)
    everything = batch.results(asked)
    kept = finals(asked, await fleet.table(name, number, len(everything)))
    assert differences(asked.functions, kept, everything) == [], name
    earlier = build_id(name, before)
    written = [row for of, row in await fleet.results(f"{name}.results") if of == earlier and row["final"]]
    handed_over_ms = max((epoch_ms(each["window_end"]) or 0 for each in written), default=0)
    due = {cell: row for cell, row in right.items() if (cell.end_ms or 0) > handed_over_ms}
    given = finals(asked, await fleet.finals(f"{name}.results", len(due), build))
    assert due.keys() <= given.keys(), name
    assert differences(asked.functions, given, {cell: right[cell] for cell in given}) == [], name
    assert await fleet.missed(build, events) == batch.missed(asked), name
