"""What an agent's pure function asks the lane to do, all in one transaction.

Effects are values: yielding one changes nothing by itself. The lane stages the
effects of a whole chunk and makes them visible together with the source offsets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

Headers: TypeAlias = tuple[tuple[str, bytes], ...]


class Emit(msgspec.Struct, frozen=True, gc=False):
    """Write one record to a topic.

    Attributes:
        topic: Target topic.
        key: Partition key, or None.
        value: Encoded value, or None for a tombstone.
        headers: Kafka headers, in order.
        partition: Explicit target partition; None partitions by key (murmur2, as Java's client).
        cause: The source record; it becomes the dead letter where the target refuses this record.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    cause: Any = None


class Forward(msgspec.Struct, frozen=True, gc=False):
    """Write the source record as it is to another topic: `Emit` of the same, without taking it apart.

    Attributes:
        topic: Target topic.
        cause: The source record; it becomes the dead letter where the target refuses it.
        added: Kafka headers that come after its own.
        partition: Explicit target partition; None partitions by its key, as `Emit` does.
    """

    topic: str
    cause: Any
    added: Headers = ()
    partition: int | None = None

    @property
    def key(self) -> bytes | None:
        """Partition key: the source record's."""
        key: bytes | None = self.cause.key
        return key

    @property
    def value(self) -> bytes | None:
        """Encoded value: the source record's."""
        value: bytes | None = self.cause.value
        return value

    @property
    def headers(self) -> Headers:
        """Kafka headers: the source record's, and those that are added."""
        return (*self.cause.headers, *self.added)


class ForwardAll(msgspec.Struct, frozen=True, gc=False):
    """`Forward` records to one topic, in order: cheaper for an agent that sorts a chunk by target.

    Attributes:
        topic: Target topic.
        causes: The source records, each partitioned by its key.
        added: For each of them the Kafka headers that come after its own.
    """

    topic: str
    causes: Sequence[Any]
    added: Sequence[Headers]

    def singly(self) -> Iterator[Forward]:
        """Yield what it stands for, one by one."""
        for cause, added in zip(self.causes, self.added, strict=True):
            yield Forward(self.topic, cause, added)


class Put(msgspec.Struct, frozen=True, gc=False):
    """Set `key` of the agent's table `table` to `value` (JSON-serialisable, never mutated after)."""

    table: str
    key: str
    value: Any


class PutAll(msgspec.Struct, frozen=True, gc=False):
    """`Put` each of `rows` (by key, never mutated after): cheaper for an agent that collects a chunk's."""

    table: str
    rows: Mapping[str, Any]

    def singly(self) -> Iterator[Put]:
        """Yield what it stands for, one by one."""
        for key, value in self.rows.items():
            yield Put(self.table, key, value)


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove `key` from the agent's table `table` (a tombstone in the changelog)."""

    table: str
    key: str


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """Set the source record aside, whole, with why it could not be processed.

    Attributes:
        record: The source record; its bytes and headers are kept as they are.
        reason: Stable machine-readable reason, e.g. ``not_avro``.
        step: Processing step that refused it, e.g. ``decode``.
        detail: One line for people, free of record contents.
        added: Headers of the dead letter's own beside those, with their prefix ``fleet_dl_``.
    """

    record: Any
    reason: str
    step: str
    detail: str = ""
    added: Headers = ()


Domain: TypeAlias = Literal["event", "wall"]
"""Clock that a timer goes by: the event time of its partition, or the wall clock."""


class SetTimer(msgspec.Struct, frozen=True, gc=False):
    """Call the agent's ``on_timer`` once `domain` passes `at_ms`, in place of an earlier timer of that name.

    Attributes:
        name: Name of the timer, unique within partition and domain.
        at_ms: Epoch milliseconds.
        domain: Clock that it goes by.
        payload: Given back with the timer (JSON-serialisable, never mutated after).
    """

    name: str
    at_ms: int
    domain: Domain = "event"
    payload: Any = None


class CancelTimer(msgspec.Struct, frozen=True, gc=False):
    """Forget the timer `name` of `domain`, if there is one."""

    name: str
    domain: Domain = "event"


class TickAgain(msgspec.Struct, frozen=True, gc=False):
    """Call the agent's ``on_tick`` next, without waiting until it is due; records have a turn in between.

    For a tick that has more to do than one transaction should hold, and for a chunk that gives the tick work.
    It counts where there is something to commit with it only.
    """


Effect: TypeAlias = (
    Emit | Forward | ForwardAll | Put | PutAll | Delete | DeadLetter | SetTimer | CancelTimer | TickAgain
)
