"""Lighter fetched records: the client's own, made in half the time and out of the garbage collector's sight.

Where `fleet.lane._records` is compiled, `fetched_native` has still lighter ones; these are its twin in
Python. Making aiokafka's frozen dataclass for each record, and the collector walking the thousands of
them in a chunk, took a third of a worker's CPU time. Decoding, checksums and the book-keeping of
aborted transactions stay the library's (aiokafka 0.14.0, pinned; see tests/unit/lane/test_fetched.py,
which compares the two on random logs).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from fleet import native

_NO_HEADERS: tuple[tuple[str, bytes], ...] = ()


class FetchedRecord(msgspec.Struct, frozen=True, gc=False):
    """A record with the attributes of ``aiokafka.ConsumerRecord``."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def checksum(self) -> None:
        """No checksum: the present record format has one per batch."""
        return

    @property
    def serialized_key_size(self) -> int:
        """Bytes of the key, -1 without one."""
        return -1 if self.key is None else len(self.key)

    @property
    def serialized_value_size(self) -> int:
        """Bytes of the value, -1 without one."""
        return -1 if self.value is None else len(self.value)


def light_record(topic: str, partition: int, record: Any) -> FetchedRecord:
    """Return a record of the library's batches with the coordinates it lacks."""
    headers = record.headers
    return FetchedRecord(
        topic,
        partition,
        record.offset,
        record.timestamp,
        record.timestamp_type,
        record.key,
        record.value,
        tuple(headers) if headers else _NO_HEADERS,
    )


class LightRecords(fetcher.PartitionRecords):  # type: ignore[misc] # the library has no types
    """The records of one fetched partition, as `FetchedRecord`; with deserializers as the client's own."""

    next_fetch_offset: int

    def __iter__(self) -> Iterator[Any]:
        # The generator itself: the library's __next__ costs a Python call for each record.
        return self._records_iterator or iter(())

    def _unpack_records(self) -> Iterator[Any]:
        if self._key_deserializer is not None or self._value_deserializer is not None:
            yield from super()._unpack_records()
            return
        topic, partition = self._tp
        for batch in self._visible_batches():
            begin = self.next_fetch_offset
            for record in batch:
                offset = record.offset
                if offset < begin:
                    continue  # The batch was fetched for what follows it.
                # Before the record is given: a caller may stop at any.
                self.next_fetch_offset = offset + 1
                yield light_record(topic, partition, record)

    def _visible_batches(self) -> Iterator[Any]:
        """Yield the batches whose records count; the position is after one once the next is asked for.

        Raises:
            CorruptRecordException: A batch has another checksum than its bytes.
        """
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not (self._is_aborted(batch) or batch.is_control_batch):
                yield batch
            # The last offset of a batch stays when its last records are compacted away.
            self.next_fetch_offset = batch.next_offset

    def _is_aborted(self, batch: Any) -> bool:
        """Follow the log's transactions by one batch; tell whether its records are to be left out."""
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


def use_light_records() -> None:
    """Let every consumer of this process give lighter records, as the client has no setting for it."""
    if native.load("fleet.lane._records") is None:
        fetcher.PartitionRecords = LightRecords
        return
    from fleet.lane import fetched_native  # noqa: PLC0415 - it needs the compiled module

    fetcher.MemoryRecords = fetched_native.PlacedBatches
    fetcher.PartitionRecords = fetched_native.PlacedRecords
    fetcher.FetchResult = fetched_native.PlacedResult
