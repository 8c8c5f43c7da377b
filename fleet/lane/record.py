"""The shape of a source record as agents see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias


class Record(Protocol):
    """One consumed Kafka record (satisfied by ``aiokafka.ConsumerRecord``)."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Record timestamp in epoch milliseconds: the publishing time, never event time."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


Chunk: TypeAlias = Sequence[Record]
