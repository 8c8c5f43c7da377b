"""What the cluster says of topics: partitions and size limits, remembered for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from fleet.errors import FatalError
from fleet.lane.bounded import bounded, in_background
from fleet.lane.errors import Lost

if TYPE_CHECKING:
    from fleet.lane.config import LaneConfig

DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
DELETE_RETENTION_MS = 86_400_000
REMEMBERED_S = 300.0
REFUSED_S = 30.0
"""A topic that may not be written to is tried again after so long: each try costs a transaction."""

GRANT = "grant its user DESCRIBE, and READ or WRITE, on it"

UNKNOWN_TOPIC = 3
INVALID_TOPIC = 17
NOT_AUTHORIZED = 29


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic's partitions, the largest record batch it takes, and how long it keeps a tombstone."""

    partitions: int
    max_message_bytes: int
    delete_retention_ms: int = DELETE_RETENTION_MS


@dataclass(frozen=True, slots=True)
class Position:
    """A group's next offset of a partition, and what was noted with it."""

    offset: int
    metadata: str


class Topics:
    """Look-ups about topics over one admin client, which is opened on first use."""

    def __init__(self, config: LaneConfig) -> None:
        self._config = config
        self._admin: AIOKafkaAdminClient | None = None
        self._opening = asyncio.Lock()
        self._known: dict[str, TopicInfo | None] = {}
        self._expires: dict[str, float] = {}
        self._refused: dict[str, float] = {}
        self._tried: dict[TopicPartition, int] = {}

    async def admin(self) -> AIOKafkaAdminClient:
        """Return the shared admin client."""
        async with self._opening:
            if self._admin is None:
                admin = AIOKafkaAdminClient(
                    bootstrap_servers=self._config.bootstrap_servers,
                    request_timeout_ms=int(self._config.request_timeout_s * 1000),
                )
                await admin.start()
                self._admin = admin
        return self._admin

    async def close(self) -> None:
        """Close the admin client; the next call opens another."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    def forget(self, topics: Iterable[str] | None = None, *, older_than_s: float = 0.0) -> None:
        """Ask the cluster about `topics`, by default all, again at the next use, e.g. after a loss.

        Those only of which it was asked longer than `older_than_s` ago.
        """
        young = time.monotonic() + REMEMBERED_S - older_than_s
        for topic in list(self._expires if topics is None else topics):
            if not older_than_s or self._expires.get(topic, young) < young:
                self._expires.pop(topic, None)

    def get(self, topic: str) -> TopicInfo | None:
        """Return what `ensure` learnt of `topic`; None where it does not exist, or may not be used."""
        return self._known.get(topic)

    def refuse(self, topics: Iterable[str]) -> None:
        """Take note of topics that Kafka does not let this worker write to, for a while."""
        until = time.monotonic() + REFUSED_S
        for topic in topics:
            self._known[topic], self._expires[topic], self._refused[topic] = None, until, until

    def try_refused(self, inbox: TopicPartition, offset: int) -> None:
        """Try refused topics again for what a person sent again: the cause is mended, as far as they know.

        Once for each batch of the inbox, or the chunk that is refused again would be done for ever.
        """
        if offset > self._tried.get(inbox, -1):
            self._tried[inbox] = offset
            self.forget(self._refused)
            self._refused.clear()

    def is_refused(self, topic: str) -> bool:
        """Tell whether Kafka does not let this worker use `topic`, as far as known."""
        return topic in self._refused

    def tombstones_ms(self, topic: str) -> int:
        """Return how long `topic` keeps a tombstone; Kafka's default where that is not known."""
        info = self.get(topic)
        return DELETE_RETENTION_MS if info is None else info.delete_retention_ms

    async def ensure(self, topics: Iterable[str]) -> None:
        """Learn of each topic that is not known or was looked up too long ago."""
        now = time.monotonic()
        asked = [
            topic
            for topic in topics
            if self._expires.get(topic, 0.0) <= now and self._refused.get(topic, 0.0) <= now
        ]
        if asked:
            await bounded(self._ask(asked), self._config.acquire_limit_s, "looking topics up")

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Lend the admin client; after an error the next call opens another."""
        try:
            yield await self.admin()
        except BaseException:
            # It may hold on to a broker that is gone.
            admin, self._admin = self._admin, None
            if admin is not None:
                in_background(admin.close())
            raise

    async def _ask(self, asked: list[str]) -> None:
        now = time.monotonic()
        async with self._client() as admin:
            found = await admin.describe_topics(asked)
            refused = {each["topic"] for each in found if each["error_code"] == NOT_AUTHORIZED}
            partitions = {each["topic"]: _partitions(each) for each in found}
            limits = await self._limits(admin, [topic for topic, count in partitions.items() if count])
        for topic in asked:
            self._refused.pop(topic, None)
        self.refuse(refused)
        for topic in set(asked) - refused:
            count = partitions.get(topic)
            self._known[topic] = None if not count else TopicInfo(count, *limits[topic])
            # A topic that is missing now may be created at any moment.
            self._expires[topic] = now + (REMEMBERED_S if count else 1.0)

    async def _limits(self, admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, tuple[int, int]]:
        limits = dict.fromkeys(topics, (DEFAULT_MAX_MESSAGE_BYTES, DELETE_RETENTION_MS))
        if topics:
            asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
            for answer in await admin.describe_configs(asked):
                for code, message, _type, topic, entries in answer.resources:
                    if code == NOT_AUTHORIZED:
                        continue  # Whoever may write need not be one who may see that.
                    if code:
                        raise for_code(code)(message)
                    given = {entry[0]: entry[1] for entry in entries}
                    limits[topic] = int(given["max.message.bytes"]), int(given["delete.retention.ms"])
        return limits

    async def positions(
        self, group: str, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, Position | None]:
        """Return where the group stands in each partition; None where it has committed nothing.

        Raises:
            Lost: The coordinator did not say.
        """
        async with self._client() as admin:
            found = await admin.list_consumer_group_offsets(group, partitions=partitions)
        # The client passes over an error of the whole answer (a coordinator that still loads,
        # or has moved): it then names no partition, which must not read as "nothing committed".
        unanswered = [f"{tp.topic}/{tp.partition}" for tp in partitions if tp not in found]
        if unanswered:
            raise Lost(f"the coordinator of {group} gives no offset of {', '.join(unanswered)}")
        return {tp: _position(found[tp]) for tp in partitions}

    async def require(self, topics: Iterable[str], *, by: str) -> dict[str, int]:
        """Return the partition count of each topic.

        Raises:
            FatalError: One of them does not exist.
        """
        wanted = list(topics)
        await self.ensure(wanted)
        missing = [topic for topic in wanted if self.get(topic) is None]
        if refused := [topic for topic in missing if self.is_refused(topic)]:
            message = f"{by}: Kafka does not let this worker use topic {', '.join(refused)}"
            raise FatalError(message, hint=GRANT)
        if missing:
            message = f"{by}: topic {', '.join(missing)} does not exist"
            raise FatalError(message, hint="create it with `eventfleet topics apply`")
        return {topic: info.partitions for topic in wanted if (info := self.get(topic))}

    async def create_changelog(self, topic: str, partitions: int) -> None:
        """Create a compacted changelog topic where it does not exist yet."""
        configs = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": "3600000"}
        await self.create(topic, partitions, configs)

    async def create(self, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        """Create a topic where it does not exist yet, and wait until it can be used.

        Raises:
            Lost: It cannot be used within the limit.
        """
        await self.ensure([topic])
        if self.get(topic) is not None:
            return
        new = NewTopic(topic, partitions, self._config.replication_factor, topic_configs=dict(configs))
        admin = await self.admin()
        for refused, code, *_ in (await admin.create_topics([new])).topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                raise Lost(f"topic {refused} cannot be created: {for_code(code).__name__}")
        await bounded(self._until_usable(topic), self._config.acquire_limit_s, f"creating topic {topic}")

    async def _until_usable(self, topic: str) -> None:
        while True:
            self._expires.pop(topic, None)
            with suppress(Lost):  # It has no leader yet.
                await self.ensure([topic])
            if self.get(topic) is not None:
                return
            await asyncio.sleep(0.1)


def _partitions(described: dict[str, Any]) -> int:
    """Return the partitions of a described topic, 0 where it does not exist."""
    if described["error_code"] in (UNKNOWN_TOPIC, INVALID_TOPIC, NOT_AUTHORIZED):
        return 0
    if described["error_code"]:
        # A topic that is being made has no leader yet; it must not pass for a missing one.
        raise Lost(f"topic {described['topic']} cannot be looked up (code {described['error_code']})")
    return len(described["partitions"])


def _position(found: OffsetAndMetadata) -> Position | None:
    return Position(found.offset, found.metadata or "") if found.offset >= 0 else None
