"""Reading to the end as commands do it: from where they say, committed records only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError
from fleet.lane.config import LaneConfig
from fleet.lane.reading import end_offsets, read_all, read_one
from fleet.settings import Settings
from tests.support.lane_kafka import Cluster


@pytest.fixture
def cluster(stack_settings: Settings) -> Cluster:
    """The real broker."""
    return Cluster(stack_settings.kafka)


@pytest.fixture
def config(stack_settings: Settings) -> LaneConfig:
    """How the lane reaches it."""
    return LaneConfig.of(stack_settings)


async def test_an_open_or_aborted_transaction_is_not_read(
    cluster: Cluster, config: LaneConfig, unique: Callable[[str], str]
) -> None:
    """Neither shows; the end is the last stable offset, before what is still open."""
    topic = unique("transactions")
    await cluster.create({topic: 1})
    tp = TopicPartition(topic, 0)
    async with cluster.producer(transactional_id=unique("writer")) as producer:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed", partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted", partition=0)
        assert await end_offsets(config, [topic]) == {tp: 2}
        await producer.abort_transaction()
    assert await end_offsets(config, [topic]) == {tp: 4}
    assert [record.value for record in await read_all(config, [topic])] == [b"committed"]
    assert await read_one(config, topic, 0, 1) is None, "a commit mark is no record"
    assert await read_one(config, topic, 0, 2) is None, "aborted"


async def test_reading_starts_where_it_is_told(
    cluster: Cluster, config: LaneConfig, unique: Callable[[str], str]
) -> None:
    """By partition; where nothing is said, or Kafka has deleted it, at the first that is left."""
    topic = unique("starts")
    await cluster.create({topic: 2})
    async with cluster.producer() as producer:
        for partition in (0, 1):
            for number in range(5):
                await producer.send_and_wait(topic, b"%d" % number, partition=partition)
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with cluster.admin() as admin:
        await admin.delete_records({second: RecordsToDelete(2)})
    found = await read_all(config, [topic], {first: 3, second: 1})
    assert sorted((record.partition, record.offset) for record in found) == [
        (0, 3),
        (0, 4),
        (1, 2),
        (1, 3),
        (1, 4),
    ]
    assert len(await read_all(config, [topic])) == 8
    assert await read_all(config, [topic], await end_offsets(config, [topic])) == []
    at = await read_one(config, topic, 0, 4)
    assert at is not None
    assert at.value == b"4"
    for partition, offset in ((0, 5), (1, 0), (7, 0)):
        assert await read_one(config, topic, partition, offset) is None


async def test_a_missing_topic_is_named(config: LaneConfig, unique: Callable[[str], str]) -> None:
    """One line that says what to do."""
    topic = unique("missing")
    with pytest.raises(FatalError, match=rf"topic {topic} does not exist: create it with"):
        await read_all(config, [topic])
