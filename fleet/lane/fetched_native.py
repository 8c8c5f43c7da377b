"""Fetched records that stay where they are in their batch, by the compiled `fleet.lane._records`.

Checksums, codecs and the book-keeping of aborted transactions stay the library's (aiokafka 0.14.0,
pinned); tests/unit/lane/test_fetched.py compares the records with its own on random logs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from fleet.lane._records import unpack
from fleet.lane.fetched import LightRecords, light_record

if TYPE_CHECKING:
    from fleet.lane._records import Record

_START: Final = struct.Struct(">qi4xb")
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH_FROM: Final = 12
_OLD_HEADER_BYTES: Final = 26
_CODEC_MASK: Final = 0x07
_APPEND_TIME: Final = 0x08
_MAGIC: Final = 2
_DECODERS: Final = {
    DefaultRecordBatch.CODEC_GZIP: ("gzip", codec.has_gzip, codec.gzip_decode),
    DefaultRecordBatch.CODEC_SNAPPY: ("snappy", codec.has_snappy, codec.snappy_decode),
    DefaultRecordBatch.CODEC_LZ4: ("lz4", codec.has_lz4, codec.lz4_decode),
    DefaultRecordBatch.CODEC_ZSTD: ("zstd", codec.has_zstd, codec.zstd_decode),
}


class PlacedBatches:
    """The batches of one fetched partition, with what ``aiokafka``'s MemoryRecords has.

    Args:
        content: What the broker sent; a batch that is cut off at its end is left out.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.start = 0
        self._at = 0

    def size_in_bytes(self) -> int:
        """Return the bytes of all that was sent."""
        return len(self.content)

    def has_next(self) -> bool:
        """Tell whether another whole batch follows."""
        return self._end() is not None

    def next_batch(self) -> Any:
        """Return the next batch as the library's; it begins at `start`.

        Raises:
            CorruptRecordException: It is shorter than any.
        """
        end = self._end()
        if end is None:
            return None
        self.start, self._at = self._at, end
        if end - self.start < _OLD_HEADER_BYTES:
            raise CorruptRecordException("a batch is shorter than any record")
        magic = self.content[self.start + 16]
        whole = self.content[self.start : end]
        return DefaultRecordBatch(whole) if magic >= _MAGIC else LegacyRecordBatch(whole, magic)

    def records_of(self, topic: str, partition: int, begin: int) -> list[Record]:
        """Return the records of the batch that was just read, from offset `begin` on.

        Raises:
            CorruptRecordException: They are none.
            UnsupportedCodecError: They are compressed in a way that nothing here can undo.
        """
        header = _HEADER.unpack_from(self.content, self.start)
        base_offset, attributes, count = header[0], header[5], header[12]
        first_ms, last_ms = header[7], header[8]
        content, start, end = self.content, self.start + _HEADER.size, self._at
        if attributes & _CODEC_MASK:
            content = _decompressed(content[start:end], attributes & _CODEC_MASK)
            start, end = 0, len(content)
        kind = 1 if attributes & _APPEND_TIME else 0
        try:
            return unpack(
                content, start, end, count, topic, partition, base_offset, first_ms, last_ms, kind, begin
            )
        except ValueError as error:
            raise CorruptRecordException(f"{topic}/{partition} from offset {base_offset}: {error}") from error

    def _end(self) -> int | None:
        if self._at + _START.size > len(self.content):
            return None
        end = self._at + _LENGTH_FROM + int(_START.unpack_from(self.content, self._at)[1])
        return end if self._at < end <= len(self.content) else None


def _decompressed(content: bytes, kind: int) -> bytes:
    name, is_there, decode = _DECODERS.get(kind, (str(kind), bool, bytes))
    if not is_there():
        raise UnsupportedCodecError(f"nothing here can read records compressed by {name}")
    return bytes(decode(content))


class PlacedRecords(LightRecords):
    """The records of one fetched partition, each a place in its batch."""

    _records: PlacedBatches

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._decoding = self._key_deserializer is not None or self._value_deserializer is not None
        self._lists = self._by_batch()
        self._ready: list[Any] = []
        self._taken = 0

    def take(self, limit: int | None) -> list[Any]:
        """Return the next records, all of them or `limit` at most.

        Raises:
            KafkaError: A batch is damaged, or compressed in an unknown way.
        """
        if self._decoding:
            return list(islice(self, limit))
        taken: list[Any] = []
        while (limit is None or len(taken) < limit) and self._is_ready():
            until = None if limit is None else self._taken + limit - len(taken)
            part = self._ready[self._taken : until]
            self._taken += len(part)
            self.next_fetch_offset = part[-1].offset + 1
            taken = taken + part if taken else part
        return taken

    def _unpack_records(self) -> Iterator[Any]:
        if self._decoding:
            yield from super()._unpack_records()
            return
        while self._is_ready():
            record = self._ready[self._taken]
            self._taken += 1
            # Before the record is given: a caller may stop at any.
            self.next_fetch_offset = record.offset + 1
            yield record

    def _is_ready(self) -> bool:
        while self._taken == len(self._ready):
            following = next(self._lists, None)
            if following is None:
                return False
            self._ready, self._taken = following, 0
        return True

    def _by_batch(self) -> Iterator[list[Any]]:
        topic, partition = self._tp
        for batch in self._visible_batches():
            if isinstance(batch, DefaultRecordBatch):
                yield self._records.records_of(topic, partition, self.next_fetch_offset)
            else:
                light = (light_record(topic, partition, record) for record in batch)
                yield [record for record in light if record.offset >= self.next_fetch_offset]


class PlacedResult(fetcher.FetchResult):  # type: ignore[misc] # the library has no types
    """What a partition's fetch gave, taken a list at a time instead of a record at a time."""

    _partition_records: PlacedRecords | None

    def getall(self, max_records: int | None = None) -> list[Any]:
        """Return the next records, all of them or `max_records` at most."""
        if not self.check_assignment(self._topic_partition) or self._partition_records is None:
            return []
        taken = self._partition_records.take(max_records)
        self._update_position()
        if max_records is None or len(taken) < max_records:
            self._partition_records = None
        return taken
