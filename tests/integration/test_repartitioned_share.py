"""How far a benchmark's worker has read its repartition topics, whatever transactions end there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from aiokafka.structs import TopicPartition

from benchmarks.cluster import Cluster as Measured
from benchmarks.repartitioned import Repartitioned
from fleet.settings import Settings
from tests.support.lane_kafka import Cluster
from tests.support.polling import until

WRITERS = 3


async def test_the_ends_of_several_transactions_need_not_be_read(
    stack_settings: Settings, unique: Callable[[str], str]
) -> None:
    """A group stands after the last record, and each task that wrote to the partition has left a marker."""
    cluster, topic, group = Cluster(stack_settings.kafka), unique("repartition"), unique("group")
    await cluster.create({topic: 1})
    async with AsyncExitStack() as stack:
        writers = [
            await stack.enter_async_context(cluster.producer(transactional_id=unique(f"writer-{number}")))
            for number in range(WRITERS)
        ]
        for writer in writers:
            await writer.begin_transaction()
            await writer.send_and_wait(topic, b"partial", partition=0)
        for writer in writers:
            await writer.commit_transaction()
    tp = TopicPartition(topic, 0)
    async with Measured(cluster.servers) as measured, Repartitioned(measured, group, [topic]) as read:
        await cluster.reset(group, {tp: WRITERS - 1})
        for _ in range(WRITERS):
            assert 0 < await read.share() < 1
        await cluster.reset(group, {tp: WRITERS})

        async def all_of_it() -> bool:
            return await read.share() == 1

        await until(all_of_it, 30, "all is read")
