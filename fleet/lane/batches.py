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


class Batches:
    """Record batches per target partition, each within its topic's size limit."""

    def __init__(self) -> None:
        self.by_partition: dict[tuple[str, int], list[BatchBuilder]] = {}
        self._now_ms = int(time.time() * 1000)

    def add(
        self,
        topic: str,
        info: TopicInfo,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Any = (),
    ) -> None:
        """Append one record, opening another batch where the last one is full."""
        builders = self.by_partition.get((topic, partition))
        if builders is None:
            builders = self.by_partition[topic, partition] = [_builder(info)]
        listed = list(headers)
        if builders[-1].append(timestamp=self._now_ms, key=key, value=value, headers=listed) is None:
            builders.append(_builder(info))
            builders[-1].append(timestamp=self._now_ms, key=key, value=value, headers=listed)

    def close(self) -> None:
        """Close every batch to further records."""
        for builders in self.by_partition.values():
            for builder in builders:
                builder.close()


def _builder(info: TopicInfo) -> BatchBuilder:
    size = min(MAX_BATCH_BYTES, info.max_message_bytes)
    return BatchBuilder(size, 0, is_transactional=1)


def record_bytes(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> int:
    """Return an upper bound of a record's size in a batch of its own."""
    size = RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
    for name, content in headers:
        # A character is at most four bytes in UTF-8, one where it is ASCII, as names nearly always are.
        size += len(name) * (1 if name.isascii() else 4) + len(content or b"") + 10
    return size
