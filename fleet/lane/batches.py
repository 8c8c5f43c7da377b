"""Record batches for one transaction, none over the limit of its topic."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiokafka.producer.message_accumulator import BatchBuilder

from fleet.lane.clients import MAX_BATCH_BYTES

if TYPE_CHECKING:
    from fleet.lane.topics import TopicInfo

RECORD_OVERHEAD_BYTES = 128
"""Room for a record's own framing and its batch header, generously."""


class RecordBatch(BatchBuilder):  # type: ignore[misc] # the library has no types
    """A batch under construction, without the library's serialisers and checks for each record."""

    def __init__(self, limit_bytes: int, *, transactional: bool = True) -> None:
        super().__init__(limit_bytes, 0, is_transactional=int(transactional))

    def add(self, now_ms: int, key: bytes | None, value: bytes | None, headers: list[Any]) -> bool:
        """Append a record; False where it does not fit any more. The first one is always taken."""
        if self._builder.append(self._relative_offset, now_ms, key, value, headers) is None:
            return False
        self._relative_offset += 1
        return True


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
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> bool:
        """Append one record, opening another batch where the last one is full.

        Returns:
            False, with nothing appended, where the topic takes no record of that size.
        """
        listed = [*headers]
        batches = self.by_partition.get((topic, partition))
        if batches is not None and batches[-1].add(self._now_ms, key, value, listed):
            return True
        batch = RecordBatch(min(MAX_BATCH_BYTES, info.max_message_bytes), transactional=self._transactional)
        batch.add(self._now_ms, key, value, listed)
        if batch.size() > info.max_message_bytes:
            return False
        if batches is None:
            self.by_partition[topic, partition] = [batch]
        else:
            batches.append(batch)
        return True

    def size_bytes(self) -> int:
        """Return the bytes of all batches."""
        return sum(batch.size() for batches in self.by_partition.values() for batch in batches)

    def close(self) -> None:
        """Close every batch to further records."""
        for batches in self.by_partition.values():
            for batch in batches:
                batch.close()


def record_bytes(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> int:
    """Return an upper bound of a record's size in a batch of its own."""
    size = RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
    for name, content in headers:
        # A character is at most four bytes in UTF-8, one where it is ASCII, as names nearly always are.
        size += len(name) * (1 if name.isascii() else 4) + len(content or b"") + 10
    return size
