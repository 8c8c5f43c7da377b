"""Record batches for one transaction, none over the limit of its topic."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

from fleet import native
from fleet.lane.clients import MAX_BATCH_BYTES
from fleet.lane.effects import Forward, ForwardAll
from fleet.lane.partitioner import partition_of_record

if TYPE_CHECKING:
    from fleet.lane.record import Record
    from fleet.lane.topics import TopicInfo

Header: TypeAlias = tuple[str, bytes]

RECORD_OVERHEAD_BYTES = 128
"""Room for a record's own framing and its batch header, generously."""

_compiled = native.load("fleet.lane._records")
_records: Any = _compiled


class PythonBatch(BatchBuilder):  # type: ignore[misc] # the library has no types
    """The library's batch, without its serialisers and checks for each record."""

    def __init__(self, limit_bytes: int, *, transactional: bool = True) -> None:
        super().__init__(limit_bytes, 0, is_transactional=int(transactional))

    def add(self, now_ms: int, key: bytes | None, value: bytes | None, headers: tuple[Header, ...]) -> bool:
        """Append a record; False where it does not fit any more. The first one is always taken."""
        if self._builder.append(self._relative_offset, now_ms, key, value, [*headers]) is None:
            return False
        self._relative_offset += 1
        return True

    def forward(self, now_ms: int, record: Record, headers: tuple[Header, ...]) -> bool:
        """Append a record that was read, with `headers` after its own; see `add`."""
        return self.add(now_ms, record.key, record.value, (*record.headers, *headers))


class NativeBatch(BatchBuilder):  # type: ignore[misc] # the library has no types
    """A batch that the compiled module writes: a forwarded record is copied, not taken apart.

    Attributes:
        add: See `PythonBatch.add`.
        forward: See `PythonBatch.forward`.
    """

    def __init__(self, limit_bytes: int, *, transactional: bool = True) -> None:
        # Not the library's, which would make a builder of its own.
        self._builder = _records.BatchWriter(limit_bytes, transactional)
        self._buffer: bytes | None = None
        self._closed = False
        self.record_count: Callable[[], int] = self._builder.count
        self.add: Callable[..., bool] = self._builder.append
        self.forward: Callable[..., bool] = self._builder.forward

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytes:
        self.close()
        if self._buffer is None:
            self._buffer = self._builder.build(calc_crc32c)
        return self._buffer


RecordBatch: TypeAlias = PythonBatch | NativeBatch

_new_batch: Any = PythonBatch if _compiled is None else NativeBatch


class Batches:
    """Record batches per target partition, each within its topic's size limit."""

    def __init__(self, *, transactional: bool = True) -> None:
        self._transactional = transactional
        self.by_partition: dict[tuple[str, int], list[RecordBatch]] = {}
        self._now_ms = int(time.time() * 1000)

    def add(
        self,
        topic: str,
        info: TopicInfo,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[Header, ...] = (),
    ) -> bool:
        """Append one record, opening another batch where the last one is full.

        Returns:
            False, with nothing appended, where the topic takes no record of that size.
        """
        batches = self.by_partition.get((topic, partition))
        if batches and batches[-1].add(self._now_ms, key, value, headers):
            return True
        batch = self._opened(info)
        batch.add(self._now_ms, key, value, headers)
        return self._is_kept(batch, topic, info, partition)

    def add_all(
        self, topic: str, info: TopicInfo, partition: int, rows: Iterable[tuple[bytes | None, bytes | None]]
    ) -> None:
        """Append records of (key, value), none of which may be over the limit of the topic."""
        batches = self.by_partition.setdefault((topic, partition), [])
        add = batches[-1].add if batches else None
        now_ms = self._now_ms
        for key, value in rows:
            if add is None or not add(now_ms, key, value, ()):
                batches.append(self._opened(info))
                add = batches[-1].add
                add(now_ms, key, value, ())

    def forward_all(self, info: TopicInfo, wanted: ForwardAll) -> list[Forward]:
        """Append records that were read, in order; return those that are too large for the topic."""
        topic, partitions, now_ms = wanted.topic, info.partitions, self._now_ms
        known: dict[int, Callable[..., bool]] = {}
        refused = []
        for record, headers in zip(wanted.causes, wanted.added, strict=True):
            partition = partition_of_record(record, partitions)
            append = known.get(partition)
            if append is None or not append(now_ms, record, headers):
                if not self.forward(topic, info, partition, record, headers):
                    refused.append(Forward(topic, record, headers))
                    continue
                known[partition] = self.by_partition[topic, partition][-1].forward
        return refused

    def forward(
        self, topic: str, info: TopicInfo, partition: int, record: Record, headers: tuple[Header, ...]
    ) -> bool:
        """Append a record that was read, with `headers` after its own; see `add`."""
        batches = self.by_partition.get((topic, partition))
        if batches and batches[-1].forward(self._now_ms, record, headers):
            return True
        batch = self._opened(info)
        batch.forward(self._now_ms, record, headers)
        return self._is_kept(batch, topic, info, partition)

    def _opened(self, info: TopicInfo) -> RecordBatch:
        limit_bytes = min(MAX_BATCH_BYTES, info.max_message_bytes)
        batch: RecordBatch = _new_batch(limit_bytes, transactional=self._transactional)
        return batch

    def _is_kept(self, batch: RecordBatch, topic: str, info: TopicInfo, partition: int) -> bool:
        if batch.size() > info.max_message_bytes:
            return False
        self.by_partition.setdefault((topic, partition), []).append(batch)
        return True

    def size_bytes(self) -> int:
        """Return the bytes of all batches."""
        return sum(batch.size() for batches in self.by_partition.values() for batch in batches)

    def close(self) -> None:
        """Close every batch to further records."""
        for batches in self.by_partition.values():
            for batch in batches:
                batch.close()


def record_bytes(key: bytes | None, value: bytes | None, headers: Iterable[Header] = ()) -> int:
    """Return an upper bound of a record's size in a batch of its own."""
    size = RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
    for name, content in headers:
        # A character is at most four bytes in UTF-8, one where it is ASCII, as names nearly always are.
        size += len(name) * (1 if name.isascii() else 4) + len(content or b"") + 10
    return size
