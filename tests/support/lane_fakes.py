"""Stand-ins for what the pure parts of the lane ask of Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet.lane.effects import Headers
from fleet.lane.topics import TopicInfo

LIMIT_BYTES = 1_048_588


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A consumed record (see `fleet.lane.record.Record`)."""

    value: bytes | None
    offset: int = 0
    key: bytes | None = b"key"
    topic: str = "source"
    partition: int = 0
    timestamp: int = 1_700_000_000_000
    headers: Headers = ()


def chunk_of(*values: bytes | None) -> list[SourceRecord]:
    """Return records with `values`, at offsets from 0."""
    return [SourceRecord(value, offset) for offset, value in enumerate(values)]


@dataclass
class KnownTopics:
    """Topics that are just as given (see `fleet.lane.topics.Topics`).

    Attributes:
        infos: What each existing topic is like.
        asked: Names that were asked for.
        refused: Those that Kafka does not let the worker use.
    """

    infos: Mapping[str, TopicInfo]
    asked: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    async def ensure(self, topics: Iterable[str]) -> None:
        """Note what is asked for."""
        self.asked.update(topics)

    def get(self, topic: str) -> TopicInfo | None:
        """Return what `topic` is like; None where it does not exist."""
        return self.infos.get(topic)

    def is_refused(self, topic: str) -> bool:
        """Tell whether Kafka does not let the worker use `topic`."""
        return topic in self.refused


def topics(*, partitions: int = 4, **limits_bytes: int) -> KnownTopics:
    """Return topics ``out``, ``dead`` and ``changelog``, with other size limits where given."""
    names = {"out", "dead", "changelog"} | limits_bytes.keys()
    return KnownTopics({name: TopicInfo(partitions, limits_bytes.get(name, LIMIT_BYTES)) for name in names})
