"""Trap 2: partitions that a worker keeps over a rebalance lost and doubled events.

Faust sought them to the group's committed offset, which is the old one while a transaction's
commit is pending; chunks in hand were dropped or processed again.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from aiokafka.structs import TopicPartition

from tests.support.lane_host import local_lane
from tests.support.lane_load import PARTITIONS, Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

ROUNDS = 25


async def test_kafka_gives_the_old_offset_while_a_commit_is_pending(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Why nothing but fencing comes before reading offsets: an open transaction hides its own."""
    group, source = unique("app"), unique("source")
    await cluster.create({source: 1})
    async with cluster.producer(transactional_id=unique("tx")) as producer:
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({TopicPartition(source, 0): 30}, group)
        assert await cluster.committed(group, source) == {0: 0}
        await producer.commit_transaction()


async def test_rebalances_amid_the_work_lose_and_double_nothing(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Partitions are kept, lost and regained while chunks are in flight, as rebalances do it."""
    load = await Load.prepared(cluster, unique, seed=2)
    await load.send(10_000)
    rng = random.Random(2)
    async with local_lane(load, assigned=range(PARTITIONS)) as lane:
        for _ in range(ROUNDS):
            before = await load.committed()
            await load.send(400)
            await load.reached(before + 1)
            await lane.host.revoked()
            lane.assign(rng.sample(range(PARTITIONS), rng.randrange(1, PARTITIONS)))
            lane.assign(sorted({*rng.sample(range(PARTITIONS), 2), rng.randrange(PARTITIONS)}))
        lane.assign(range(PARTITIONS))
        await load.consumed()
        assert lane.host.unready() == []
    await load.check()


async def test_work_goes_on_during_a_rebalance(cluster: Cluster, unique: Callable[[str], str]) -> None:
    """From the revocation until the assignment tasks commit as ever, on the hold that they have."""
    load = await Load.prepared(cluster, unique, seed=3)
    await load.send(2_000)
    async with local_lane(load) as lane:
        await lane.becomes(dict.fromkeys(range(PARTITIONS), "running"))
        holds = [task.hold for task in lane.host.tasks()]
        await lane.host.revoked()
        assert "rebalancing" in lane.host.unready()
        await load.send(2_000)
        await load.consumed()
        lane.assign(range(PARTITIONS))
        await load.send(100)
        await load.consumed()
        assert [task.hold for task in lane.host.tasks()] == holds
    await load.check()


async def test_a_partition_that_moves_while_its_old_owner_works_on_is_exact(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """The old owner hears of the rebalance last: the fence of the new one ends its work, quietly."""
    load = await Load.prepared(cluster, unique, seed=4)
    await load.send(20_000)
    async with local_lane(load) as old, local_lane(load, assigned=[]) as new:
        await load.reached(500)
        await old.host.revoked()
        new.assign([0, 1])
        await new.becomes({0: "running", 1: "running"})
        await load.send(1_000)
        await old.becomes({0: "fenced", 1: "fenced"})
        assert old.member.rejoins == 0
        old.assign([2, 3])
        await load.consumed()
    await load.check()
