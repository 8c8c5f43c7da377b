"""Definitions on a running worker: they begin without a restart, and one that explodes harms no other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.aggregator.domain.plan import build_id
from fleet.settings import Settings
from stack.embedded import EmbeddedStack
from tests.support.aggregate_batch import Batch
from tests.support.aggregate_events import orders
from tests.support.aggregate_fleet import LIMIT_S, Aggregators, aggregators
from tests.support.aggregate_questions import EXPRESS_FUNCTIONS, question
from tests.support.aggregate_results import differences, finals
from tests.support.polling import until
from tests.support.stack import isolated_settings, parts_dir

TOPIC = "shop.replay"
PARTITIONS = 3
COUNT = 1_000
LONG_AGO = datetime(2010, 3, 8, tzinfo=UTC)


@pytest.fixture
def stack_settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a stack that only this test uses."""
    own = isolated_settings(tmp_path / "stack")
    with EmbeddedStack(own, parts_dir=parts_dir()):
        yield own


async def test_a_replay_of_2010_is_right_beside_a_definition_that_explodes(
    stack_settings: Settings, tmp_path: Path
) -> None:
    """Nothing is lost for its age; the one over its quota is paused, with why, and no other misses an event.

    Both begin and the one ends without a rebalance.
    """
    hours = {"kind": "tumbling", "size_ms": 3_600_000}
    steady = question(hours, grace_ms=7_200_000, groups=("region",), sources=[TOPIC])
    exploding = question(hours, functions=EXPRESS_FUNCTIONS, sources=[TOPIC])
    events = orders(COUNT, seed=13, topics=[TOPIC], partitions=PARTITIONS, start=LONG_AGO)
    async with aggregators(stack_settings, tmp_path, 1) as fleet:
        await fleet.new_topic(TOPIC, PARTITIONS)
        await fleet.define("steady", steady)
        await fleet.define("exploding", exploding, limits={"max_keys": 6})
        for name in ("steady", "exploding"):
            begun = await fleet.begun(name, 1, {TOPIC: PARTITIONS})
            assert set(begun.values()) == {0}
        await fleet.send(events)
        batch = Batch(events)
        right = batch.finals(steady)
        given = finals(steady, await fleet.finals("steady.results", len(right)))
        assert differences(steady.functions, given, right) == []
        assert await fleet.missed(build_id("steady", 1), events) == batch.missed(steady)

        async def paused() -> Any:
            found = await fleet.services.aggregations.get("exploding")
            return found["state"] == "paused" and found["paused_because"]

        assert await until(paused, LIMIT_S, "exploding is paused")
        assert (await fleet.services.aggregations.get("steady"))["state"] == "active"
        assert rebalances(fleet) == 1


def rebalances(fleet: Aggregators) -> int:
    """Return how often the one worker has joined its group, by its log."""
    (worker,) = fleet.alive
    return worker.said().count("Joined group")
