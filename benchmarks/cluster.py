"""What a benchmark asks of the broker: topics, and how far a consumer group has committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError

POLL_S = 0.05
REQUEST_TIMEOUT_MS = 120_000
"""A broker that is deleting many segments, on one core, answers late."""


class Cluster:
    """An admin client for the length of a benchmark; an asynchronous context manager."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._admin = AIOKafkaAdminClient(
            bootstrap_servers=bootstrap_servers, request_timeout_ms=REQUEST_TIMEOUT_MS
        )

    async def __aenter__(self) -> Self:
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def create(self, topics: Iterable[str], partitions: int, *, compacted: Iterable[str] = ()) -> None:
        """Create `topics`, and the `compacted` ones, each with `partitions` partitions.

        Raises:
            FatalError: The broker refused.
        """
        plain = [NewTopic(topic, partitions, 1) for topic in topics]
        kept = [
            NewTopic(name, partitions, 1, topic_configs={"cleanup.policy": "compact"}) for name in compacted
        ]
        answer = await self._admin.create_topics([*plain, *kept])
        for topic, code, text in answer.topic_errors:
            if code:
                raise FatalError(f"Kafka refused to create {topic}: {text or code}", hint="see its log")
        await self._led([topic.name for topic in (*plain, *kept)])

    async def _led(self, topics: Sequence[str]) -> None:
        """Wait until all partitions of `topics` have a leader: the broker makes them after it has answered.

        Raises:
            FatalError: One has none for long.
        """
        until = time.monotonic() + REQUEST_TIMEOUT_MS / 1_000
        while missing := without_leader(topics, await self._admin.describe_topics(list(topics))):
            if time.monotonic() > until:
                raise FatalError(f"Kafka has made {missing[0]}, but none of its brokers leads all of it")
            await asyncio.sleep(POLL_S)

    async def delete_of(self, name: str) -> None:
        """Delete all topics whose names have `name` in them; the broker frees their space soon after."""
        await self.delete(topic for topic in await self._admin.list_topics() if name in topic)

    async def delete(self, topics: Iterable[str]) -> None:
        """Delete `topics`."""
        await self._admin.delete_topics(list(topics))

    async def start_at(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Let `group`, which nobody has joined, start `topic` at these offsets by partition."""
        starts = {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
        member = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap_servers, group_id=group, enable_auto_commit=False
        )
        await member.start()
        try:
            member.assign(list(starts))
            await member.commit(starts)
        finally:
            await member.stop()

    async def mark(self, changelog: str, key: bytes, topic: str, offsets: Mapping[int, int]) -> None:
        """Write into each partition of `changelog`, under `key`, the offset of `topic` to go on from."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers)
        await producer.start()
        try:
            for partition, offset in offsets.items():
                value = orjson.dumps({topic: offset})
                await producer.send_and_wait(changelog, value, key, partition=partition)
        finally:
            await producer.stop()

    async def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """Return the partitions of those of `topics` that there are."""
        described = await self._admin.describe_topics(list(topics))
        return [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            for partition in topic["partitions"]
        ]

    async def offsets(self, group: str) -> dict[TopicPartition, int]:
        """Return everything that `group` has committed."""
        found = await self._admin.list_consumer_group_offsets(group)
        return {tp: max(0, at.offset) for tp, at in found.items()}

    async def committed(self, group: str, topic: str, partitions: int) -> dict[int, int]:
        """Return the committed offset of `group` by partition of `topic`; 0 where it has none."""
        asked = [TopicPartition(topic, partition) for partition in range(partitions)]
        found = await self._admin.list_consumer_group_offsets(group, partitions=asked)
        return {tp.partition: max(0, found[tp].offset) if tp in found else 0 for tp in asked}


def without_leader(topics: Iterable[str], described: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return those of `topics` that are not described, or have a partition that no broker leads."""
    led = {
        topic["topic"]
        for topic in described
        if topic["partitions"] and not any(part["error_code"] for part in topic["partitions"])
    }
    return [topic for topic in topics if topic not in led]
