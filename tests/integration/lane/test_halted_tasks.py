"""A halted task tries again by itself, and goes on once a person has mended the cause."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiokafka.structs import TopicPartition
from prometheus_client import REGISTRY

from fleet.errors import FatalError
from tests.support.lane_host import LIMIT_S, LocalLane, local_lane, summing_agent
from tests.support.lane_load import Load
from tests.support.lane_worker import AGENT, route_and_sum
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.lane import Chunk, Effect, State
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

RETRY_S = 0.1


async def tries(lane: LocalLane, count: int) -> None:
    """Wait until the halted tasks have tried `count` more times; each try asks the group first."""
    wanted = lane.member.asked + count

    async def tried() -> bool:
        return lane.member.asked >= wanted

    await until(tried, LIMIT_S, f"{count} tries")


def halted(cause: str) -> float | None:
    """Return the metric of partition 1, halted by `cause`; None where it is not."""
    labels = {"agent": AGENT, "partition": "1", "cause": cause}
    return REGISTRY.get_sample_value("fleet_lane_halted", labels)


async def test_a_task_halted_by_an_offset_goes_on_once_that_is_set_right(
    cluster: Cluster, unique: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Without a restart; until then the reason stays to be seen, is logged once, and nothing is processed."""
    load = await Load.prepared(cluster, unique, seed=3)
    await load.send(1000)
    async with local_lane(load):
        await load.consumed()
    tp = TopicPartition(load.source, 1)
    stood_at = (await cluster.committed(load.app_id, load.source))[1]
    await cluster.reset(load.app_id, {tp: 0})
    caplog.set_level(logging.INFO, logger="fleet.lane")
    async with local_lane(load, halted_retry_s=RETRY_S) as lane:
        await lane.becomes({0: "running", 1: "halted", 2: "running", 3: "running"})
        await tries(lane, 3)
        assert lane.statuses()[1] == "halted"
        assert "the group at 0" in lane.task(1).reason
        assert halted("Halted") == 1
        assert caplog.text.count("sum/1 is halted") == 1
        await cluster.reset(load.app_id, {tp: stood_at})
        await lane.becomes({1: "running"})  # Nothing waits to be processed: it goes on all the same.
        assert lane.task(1).reason == ""
        assert halted("Halted") is None
        await load.send(1000)
        await load.consumed()
    await load.check()


async def test_a_task_halted_by_its_agent_goes_on_once_that_can(
    cluster: Cluster, unique: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """While its function says that a person has to act, each try acquires, and none counts as running."""
    load = await Load.prepared(cluster, unique, seed=3)
    await load.send(1000)
    total, broken = route_and_sum(load.source), {1}

    def process(chunk: Chunk, state: State) -> Iterator[Effect]:
        if state.partition in broken:
            raise FatalError("no rules at all", hint="write one")
        yield from total(chunk, state)

    agent = replace(summing_agent(load), process=process)
    async with local_lane(load, agent, halted_retry_s=RETRY_S) as lane:
        await lane.becomes({0: "running", 1: "halted", 2: "running", 3: "running"})
        seen = []

        async def tried() -> bool:
            seen.append(lane.statuses()[1])
            return lane.member.asked >= 4 + 3

        await until(tried, LIMIT_S, "3 tries", every_s=0.01)
        assert set(seen) == {"halted"}
        assert lane.task(1).reason == "no rules at all: write one"
        assert caplog.text.count("sum/1 is halted") == 1
        broken.clear()
        await load.consumed()
        await lane.becomes({1: "running"})
    await load.check()


async def test_a_task_halts_where_its_agent_cannot_prepare(
    cluster: Cluster, unique: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Any error but a transient one: one line names it, and the task goes on once it is mended."""
    load = await Load.prepared(cluster, unique, seed=3)
    await load.send(1000)
    broken = {1}

    async def prepare(chunk: Chunk) -> None:
        if chunk[0].partition in broken:
            raise KeyError("schema")

    agent = replace(summing_agent(load), prepare=prepare)
    async with local_lane(load, agent, halted_retry_s=RETRY_S) as lane:
        await lane.becomes({0: "running", 1: "halted", 2: "running", 3: "running"})
        await tries(lane, 3)
        assert lane.task(1).reason.startswith("the agent's prepare fails (KeyError): mend it")
        assert caplog.text.count("sum/1 is halted") == 1
        broken.clear()
        await load.consumed()
        await lane.becomes({1: "running"})
    await load.check()
