"""The shape of a source record as agents see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias


class Record(Protocol):
    """One consumed Kafka record (satisfied by ``aiokafka.ConsumerRecord``)."""

    @property
    def topic(self) -> str:
        """Topic it was read from."""
        ...

    @property
    def partition(self) -> int:
        """Partition it was read from."""
        ...

    @property
    def offset(self) -> int:
        """Offset in its partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Record timestamp in epoch milliseconds: the publishing time, never event time."""
        ...

    @property
    def key(self) -> bytes | None:
        """Partition key, raw."""
        ...

    @property
    def value(self) -> bytes | None:
        """Value, raw; None is a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Headers, in order."""
        ...


Chunk: TypeAlias = Sequence[Record]
