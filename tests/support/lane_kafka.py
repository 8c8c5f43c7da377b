"""Kafka as the tests of the lane use it: topics made, records written in bulk, partitions read whole."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError, MessageSizeTooLargeError, for_code
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import TopicPartition

from tests.support.polling import until

BATCH_BYTES = 256 * 1024
READ_TIMEOUT_MS = 200
READ_RECORDS = 50_000


@dataclass(frozen=True, slots=True)
class Cluster:
    """A real Kafka cluster.

    Attributes:
        servers: Bootstrap servers.
    """

    servers: str

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Any]:
        """Open an admin client."""
        client = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await client.start()
        try:
            yield client
        finally:
            await client.close()

    @asynccontextmanager
    async def producer(self, **options: Any) -> AsyncIterator[Any]:
        """Open a producer."""
        client = AIOKafkaProducer(bootstrap_servers=self.servers, **options)
        await client.start()
        try:
            yield client
        finally:
            await client.stop()

    @asynccontextmanager
    async def reader(self, *, committed: bool = True) -> AsyncIterator[Any]:
        """Open a consumer without a group; by default of committed records only."""
        isolation = "read_committed" if committed else "read_uncommitted"
        client = AIOKafkaConsumer(
            bootstrap_servers=self.servers,
            isolation_level=isolation,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=8 << 20,
        )
        await client.start()
        try:
            yield client
        finally:
            await client.stop()

    async def create(self, topics: Mapping[str, int], **configs: str) -> None:
        """Create `topics` (partitions by name) and wait until each can be written."""
        settings = {name.replace("_", "."): value for name, value in configs.items()}
        async with self.admin() as admin:
            answer = await admin.create_topics(
                [NewTopic(name, count, 1, topic_configs=settings) for name, count in topics.items()]
            )
            for name, code, text in answer.topic_errors:
                assert code == 0, f"{name}: {for_code(code).__name__} {text}"

            async def led() -> bool:
                found = await admin.describe_topics(list(topics))
                return all(
                    len(each["partitions"]) == topics[each["topic"]]
                    and all(part["leader"] >= 0 for part in each["partitions"])
                    for each in found
                )

            await until(led, 60, f"leaders of {', '.join(topics)}")

    async def limit(self, topic: str, max_message_bytes: int) -> None:
        """Lower what `topic` takes, and wait until every partition refuses more than that."""
        lower = {"max.message.bytes": str(max_message_bytes)}
        async with self.admin() as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, lower)])
        partitions = [tp.partition for tp in await self._partitions(topic)]
        # What is rolled back, nobody sees.
        async with self.producer(transactional_id=f"limit of {topic}") as probe:

            async def refuses(partition: int) -> bool:
                await probe.begin_transaction()
                try:
                    await probe.send_and_wait(topic, bytes(max_message_bytes), partition=partition)
                except MessageSizeTooLargeError:
                    return True
                finally:
                    await probe.abort_transaction()
                return False

            async def all_refuse() -> bool:
                return all([await refuses(partition) for partition in partitions])

            await until(all_refuse, 60, f"the lower limit of {topic}")

    async def send(
        self,
        topic: str,
        records: Iterable[tuple[bytes | None, bytes]],
        *,
        partitions: int,
        at: int | None = None,
    ) -> int:
        """Write (key, value) records in order, in large batches; return how many.

        Args:
            topic: Target topic.
            records: Keys and values.
            partitions: Partition count of the topic; keys choose among them as Java's client does.
            at: Partition for all of them, in place of the key's.
        """
        choose, everything = DefaultPartitioner(), list(range(partitions))
        placed: dict[bytes | None, int] = {}
        async with self.producer(acks="all") as producer:
            builders: dict[int, list[Any]] = defaultdict(lambda: [producer.create_batch()])
            count = 0
            for key, value in records:
                if at is None and key not in placed:
                    placed[key] = choose(key, everything, everything)
                batches = builders[placed[key] if at is None else at]
                if batches[-1].append(key=key, value=value, timestamp=None) is None:
                    batches.append(producer.create_batch())
                    batches[-1].append(key=key, value=value, timestamp=None)
                count += 1
            sent = []
            for partition, batches in builders.items():
                for batch in batches:
                    batch.close()
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
            await asyncio.gather(*sent)
        return count

    async def read(self, topic: str, *, committed: bool = True) -> list[ConsumerRecord]:
        """Return every record of `topic`, partition by partition in order, up to its end now."""
        partitions = await self._partitions(topic)
        async with self.reader(committed=committed) as reader:
            begins, ends = await reader.beginning_offsets(partitions), await reader.end_offsets(partitions)
            reader.assign(partitions)
            for tp in partitions:
                reader.seek(tp, begins[tp])
            records: dict[TopicPartition, list[ConsumerRecord]] = {tp: [] for tp in partitions}

            async def at_the_end() -> bool:
                behind = [tp for tp in partitions if await reader.position(tp) < ends[tp]]
                if behind:
                    fetched = await reader.getmany(
                        *behind, timeout_ms=READ_TIMEOUT_MS, max_records=READ_RECORDS
                    )
                    for tp, found in fetched.items():
                        records[tp].extend(found)
                return not behind

            await until(at_the_end, 60, f"the end of {topic}", every_s=0)
        return [record for tp in partitions for record in records[tp]]

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        async with self.admin() as admin:
            (found,) = await admin.describe_topics([topic])
        return [TopicPartition(topic, part["partition"]) for part in found["partitions"]]

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the last stable offset of each partition."""
        partitions = await self._partitions(topic)
        async with self.reader() as reader:
            return {tp.partition: offset for tp, offset in (await reader.end_offsets(partitions)).items()}

    async def settled(self, topic: str) -> None:
        """Wait until no transaction is open on `topic`: its last stable offsets are its ends.

        A commit is confirmed a moment before its markers are in the partitions it wrote to.
        """
        partitions = await self._partitions(topic)
        async with self.reader() as stable, self.reader(committed=False) as all_of_it:

            async def nothing_open() -> bool:
                return bool(await stable.end_offsets(partitions) == await all_of_it.end_offsets(partitions))

            await until(nothing_open, 60, f"no open transaction on {topic}")

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the group's committed offset of each partition of `topic`; 0 where it has none.

        It may be that of the commit before the last one for a moment (see `settled`).
        """
        partitions = await self._partitions(topic)

        async def answered() -> dict[TopicPartition, Any]:
            """Ask again while a broker that has just started makes or loads its groups."""
            with suppress(GroupCoordinatorNotAvailableError):
                async with self.admin() as admin:
                    found = await admin.list_consumer_group_offsets(group, partitions=partitions)
                if all(tp in found for tp in partitions):
                    return dict(found)
            return {}

        offsets = await until(answered, 60, f"an answer of the coordinator of {group}")
        return {tp.partition: max(0, offsets[tp].offset) for tp in partitions}

    async def consumed(self, group: str, topic: str) -> bool:
        """Tell whether `group` has committed the end of every partition of `topic`."""
        return await self.committed(group, topic) == await self.ends(topic)

    async def reset(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set offsets of `group`, which has no members, as an operator does."""
        operator: Any = AIOKafkaConsumer(
            bootstrap_servers=self.servers, group_id=group, enable_auto_commit=False
        )
        await operator.start()
        try:
            operator.assign(list(offsets))
            await operator.commit(dict(offsets))
        finally:
            await operator.stop()
