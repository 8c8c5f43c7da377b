"""Trap 16: an open transaction holds back every read_committed reader of the partitions it wrote to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiokafka.producer.transaction_manager import TransactionState

from fleet.lane.clients import new_producer
from fleet.lane.config import LaneConfig
from tests.support.lane_host import LIMIT_S, local_lane, summing_agent
from tests.support.lane_load import PARTITIONS, Load
from tests.support.lane_worker import AGENT
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.lane import Chunk
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

TRANSACTION_TIMEOUT_S = 3.0


async def _left_open(cluster: Cluster, topic: str, transactional_id: str) -> None:
    """Begin a transaction as a lane's task does, write to `topic`, and end as by a kill."""
    config = LaneConfig(bootstrap_servers=cluster.servers, transaction_timeout_s=TRANSACTION_TIMEOUT_S)
    producer = new_producer(config, transactional_id)
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"never committed", partition=0)
    finally:
        await producer.stop()


async def _is_open(cluster: Cluster, topic: str) -> bool:
    async with cluster.reader(committed=False) as reader:
        (tp,) = await cluster._partitions(topic)
        end = (await reader.end_offsets([tp]))[tp]
    return bool(end > (await cluster.ends(topic))[0])


async def test_the_client_alone_stops_and_leaves_its_transaction_open(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """``stop()`` neither commits nor aborts: readers wait for the default time-out of a minute."""
    topic = unique("out")
    await cluster.create({topic: 1})
    async with cluster.producer(transactional_id=unique("tx")) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"never committed", partition=0)
    assert await _is_open(cluster, topic)


async def test_kafka_aborts_within_the_lanes_own_time_out(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Also where nobody takes the partition over: about the session time-out, by the lane's settings."""
    assert LaneConfig(bootstrap_servers="").transaction_timeout_s <= 10
    topic = unique("out")
    await cluster.create({topic: 1})
    await _left_open(cluster, topic, unique("tx"))
    await cluster.settled(topic)


async def test_the_next_owner_ends_what_a_killed_one_left_open(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """The fence of the task's id aborts it before the task reads anything."""
    load = await Load.prepared(cluster, unique, seed=16)
    await load.send(400)
    await _left_open(cluster, f"{load.source}-a", f"{load.app_id}-{AGENT}-0")
    async with local_lane(load) as lane:
        await lane.becomes(dict.fromkeys(range(PARTITIONS), "running"))
        await load.consumed()
    await load.check()


async def test_nothing_is_open_while_a_chunk_is_worked_on(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """A transaction begins when all of it is staged: however long an agent takes, no reader waits."""
    load, working, enough = await Load.prepared(cluster, unique, seed=17), 0, asyncio.Event()

    async def prepare(chunk: Chunk) -> None:
        nonlocal working
        working += len(chunk) > 0
        await enough.wait()

    async with local_lane(load, replace(summing_agent(load), prepare=prepare)) as lane:
        await load.send(400)

        async def all_work() -> bool:
            return working == PARTITIONS

        await until(all_work, LIMIT_S, "a chunk in the works on every partition")
        for task in lane.host.tasks():
            assert task.hold is not None
            assert task.hold.transactor._producer._txn_manager.state is TransactionState.READY
        enough.set()
        await load.consumed()
    await load.check()
