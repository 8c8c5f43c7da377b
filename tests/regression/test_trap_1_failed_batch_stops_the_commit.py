"""Trap 1: the Kafka client commits a transaction although one of its batches failed.

The source offset then moves past records whose outputs do not exist, and every later batch of
that producer to that partition fails too, in transactions that "commit".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from fleet.lane.batches import Batches
from fleet.lane.config import LaneConfig
from fleet.lane.errors import Lost
from fleet.lane.topics import TopicInfo
from fleet.lane.transaction import Transactor
from tests.support.lane_host import local_lane
from tests.support.lane_load import Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SMALL = {"max_message_bytes": "2000"}


def batch(producer: Any, *values: bytes) -> Any:
    """Return a closed batch of `values`."""
    builder = producer.create_batch()
    for value in values:
        builder.append(key=None, value=value, timestamp=None)
    builder.close()
    return builder


async def test_the_client_alone_commits_and_loses_from_then_on(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Why the lane checks: two transactions commit, two offsets move, nothing was written."""
    group, source, out = unique("app"), unique("source"), unique("out")
    await cluster.create({source: 1})
    await cluster.create({out: 1}, **SMALL)
    async with cluster.producer(transactional_id=unique("tx")) as producer:
        for offset, value in ((1, b"x" * 5000), (2, b"small")):
            await producer.begin_transaction()
            delivery = await producer.send_batch(batch(producer, value), out, partition=0)
            await producer.send_offsets_to_transaction({TopicPartition(source, 0): offset}, group)
            await producer.commit_transaction()
            assert isinstance(delivery.exception(), KafkaError)
    assert await cluster.committed(group, source) == {0: 2}
    assert await cluster.read(out) == []


async def test_a_failed_batch_fails_the_transaction(cluster: Cluster, unique: Callable[[str], str]) -> None:
    """The lane gives the hold up before offsets are sent: neither they nor other outputs are visible."""
    group, source, out = unique("app"), unique("source"), unique("out")
    await cluster.create({source: 1})
    await cluster.create({out: 2}, **SMALL)
    batches, generous = Batches(), TopicInfo(2, 1_000_000)
    batches.add(out, generous, 0, None, b"fits")
    batches.add(out, generous, 1, None, b"x" * 5000)
    batches.close()
    transactor = Transactor(LaneConfig(bootstrap_servers=cluster.servers), group, unique("tx"))
    await transactor.fence()
    with pytest.raises(Lost, match="MessageSizeTooLarge"):
        await transactor.commit(batches, {TopicPartition(source, 0): 1})
    transactor.discard()
    assert await cluster.committed(group, source) == {0: 0}
    assert await cluster.read(out) == []


async def test_a_limit_lowered_while_the_lane_runs_costs_nothing(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Batches cut for the old limit fail; the task starts again, learns the new one, and loses nothing."""
    load = await Load.prepared(cluster, unique, seed=1)
    await load.send(1000)
    async with local_lane(load) as lane:
        await load.consumed()
        async with cluster.admin() as admin:
            topic = f"{load.source}-a"
            smaller = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "1000"})
            await admin.alter_configs([smaller])
        await load.send(4000)
        await load.consumed()
        await lane.becomes(dict.fromkeys(range(4), "running"))
    await load.check()
