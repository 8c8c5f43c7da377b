"""Trap 24: a topic that is expanded in place moves keys away from their state.

Stock Faust gives the new partitions out, and the table's partitions apart from them.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import NewPartitions
from faust.assignor.partition_assignor import PartitionAssignor

from fleet.lane.partitioner import partition_of
from tests.support.lane_group import Group
from tests.support.lane_host import LIMIT_S, local_lane, summing_agent
from tests.support.lane_load import PARTITIONS, Load
from tests.support.lane_worker import topics_of
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.lane.agent import LaneAgent
    from tests.support.lane_host import LocalLane
    from tests.support.lane_kafka import Cluster

EXPANDED = PARTITIONS + 2


def test_stock_faust_parts_a_source_from_its_table() -> None:
    """After the expansion a member has source partitions whose table it has not."""
    group = Group(PartitionAssignor, counts={"charges": 4, "app-sums-changelog": 4})
    for name in "ABC":
        group.join(name)
        group.rebalance()
    group.counts["charges"] = EXPANDED
    found = group.rebalance()
    assert any(had["charges"] != had["app-sums-changelog"] for had in found.values())


def test_most_keys_move() -> None:
    """Why that is no small matter: the rows of two keys in three are in another partition than its events."""
    keys = [f"M{number:05d}".encode() for number in range(1000)]
    moved = sum(partition_of(key, PARTITIONS) != partition_of(key, EXPANDED) for key in keys)
    assert moved > len(keys) / 3


async def expand(cluster: Cluster, *topics: str) -> None:
    """Give each of `topics` more partitions, in place."""
    async with cluster.admin() as admin:
        await admin.create_partitions({topic: NewPartitions(EXPANDED) for topic in topics})


async def halted(lane: LocalLane, agent: LaneAgent, reason: str) -> None:
    """Wait until all tasks of `agent` are halted for `reason`."""

    async def all_halted() -> bool:
        rows = [row for row in lane.host.describe() if row["agent"] == agent.name]
        return bool(rows) and all(row["status"] == "halted" and reason in row["reason"] for row in rows)

    await until(all_halted, LIMIT_S, f"{agent.name} halted: {reason}")


@pytest.mark.stack
async def test_an_agent_whose_source_gains_partitions_halts_and_the_others_go_on(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rebalance shows it; the reason says what differs and what to do; the other agent is not touched."""
    monkeypatch.setattr("fleet.lane.expansion.CHECK_EVERY_S", 3600.0)
    load = await Load.prepared(cluster, unique, seed=24)
    await load.send(1000)
    expanded = unique("expanded")
    await cluster.create(topics_of(expanded, PARTITIONS))
    agent = dataclasses.replace(
        summing_agent(load),
        name="other",
        sources=(expanded,),
        dead_letters=f"{expanded}-dead",
        tables=("others",),
    )
    async with local_lane(load) as lane:
        lane.host.add(agent)
        await lane.host.prepare(agent)
        serving = asyncio.ensure_future(lane.host.serve(agent.name))
        mine = [(topic, number) for topic in (load.source, expanded) for number in range(PARTITIONS)]
        lane.host.assigned(mine)
        await lane.becomes(dict.fromkeys(range(PARTITIONS), "running"))
        holds = [task.hold for task in lane.host.tasks() if task.agent.name != agent.name]
        await expand(cluster, expanded)
        lane.host.assigned([*mine, *((expanded, number) for number in range(PARTITIONS, EXPANDED))])
        await halted(lane, agent, f"{expanded} has {EXPANDED}")
        await halted(lane, agent, "never expand in place")
        await load.send(1000)
        await load.consumed()
        assert [task.hold for task in lane.host.tasks() if task.agent.name != agent.name] == holds
        serving.cancel()
    await load.check()


@pytest.mark.stack
async def test_an_agent_whose_topics_all_gain_partitions_halts_too(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source and changelog fit each other again, yet keys are away from their rows; no rebalance tells."""
    monkeypatch.setattr("fleet.lane.expansion.CHECK_EVERY_S", 0.5)
    load = await Load.prepared(cluster, unique, seed=24)
    await load.send(1000)
    async with local_lane(load) as lane:
        await load.consumed()
        await expand(cluster, load.source, lane.host.changelog(lane.agent.tables[0]))
        await halted(lane, lane.agent, f"from {PARTITIONS} to {EXPANDED} partitions")
