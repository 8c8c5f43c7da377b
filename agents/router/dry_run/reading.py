"""Reads a range of retained events in large pieces: committed ones, up to where the log ended then."""

from __future__ import annotations

import asyncio
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from aiokafka.structs import TopicPartition

from fleet.errors import PermanentError, TransientError
from fleet.lane.clients import assign_at
from fleet.lane.topics import Topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from aiokafka import AIOKafkaConsumer

    from agents.router.dry_run.job import Range
    from fleet.lane import LaneConfig, Record

FETCH_BYTES: Final = 4 << 20
MAX_RECORDS: Final = 20_000
FETCH_TIMEOUT_MS: Final = 200
NO_PROGRESS_LIMIT_S: Final = 30.0

_OFFSET: Final = struct.Struct(">q")
_WHOLE: Final = 2**32


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one partition to be read: from `start` to before `end`."""

    topic: str
    partition: int
    start: int
    end: int

    @property
    def tp(self) -> TopicPartition:
        """The partition."""
        return TopicPartition(self.topic, self.partition)


async def spans_of(config: LaneConfig, reader: AIOKafkaConsumer, wanted: Range) -> list[Span]:
    """Return which offsets a range is, as of now.

    Raises:
        FatalError: A topic does not exist.
        PermanentError: A partition does not exist.
        KafkaError: Kafka does not answer.
    """
    topics = Topics(config)
    try:
        counts = await topics.require(wanted.topics, by="a dry-run")
    finally:
        await topics.close()
    tps = [
        TopicPartition(topic, partition)
        for topic in wanted.topics
        for partition in (wanted.partitions or range(counts[topic]))
    ]
    for tp in tps:
        if tp.partition >= counts[tp.topic]:
            message = f"{tp.topic} has {counts[tp.topic]} partitions, no {tp.partition}"
            raise PermanentError(message, reason="unknown_partition", hint="name partitions from 0")
    begins, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
    starts = await _at(reader, tps, wanted.since, begins, ends)
    stops = await _at(reader, tps, wanted.until, ends, ends)
    spans = []
    for tp in tps:
        start = max(starts[tp], begins[tp], wanted.from_offset or 0)
        stop = min(stops[tp], ends[tp])
        if wanted.until_offset is not None:
            stop = min(stop, wanted.until_offset)
        if start < stop:
            spans.append(Span(tp.topic, tp.partition, start, stop))
    return spans


async def _at(
    reader: AIOKafkaConsumer, tps: list[TopicPartition], instant: datetime | None, default: Any, ends: Any
) -> dict[TopicPartition, int]:
    """Return the offset of the first event that was published at `instant` or later, or the end."""
    if instant is None or not tps:
        return dict(default)
    times = dict.fromkeys(tps, max(0, int(instant.timestamp() * 1000)))
    found = await reader.offsets_for_times(times)
    return {tp: ends[tp] if found.get(tp) is None else found[tp].offset for tp in tps}


class Reading:
    """Reads spans, a piece of one partition at a time.

    Args:
        reader: A consumer of committed records.
        spans: What to read.
        sample: Share of the records to give.
    """

    def __init__(self, reader: AIOKafkaConsumer, spans: Sequence[Span], sample: float = 1.0) -> None:
        self.total = sum(span.end - span.start for span in spans)
        self.read = 0
        self._reader = reader
        self._spans = {span.tp: span for span in spans}
        self._at = {span.tp: span.start for span in spans}
        self._sample = sample

    @property
    def done(self) -> int:
        """Offsets that were passed."""
        return sum(min(at, self._spans[tp].end) - self._spans[tp].start for tp, at in self._at.items())

    async def pieces(self) -> AsyncIterator[list[Record]]:
        """Yield the records, each piece of one partition and in order.

        Raises:
            TransientError: Kafka gives nothing before the end.
            KafkaError: Kafka does not answer.
        """
        if self._at:
            await assign_at(self._reader, self._at)
        behind = list(self._at)
        moved_at = time.monotonic()
        while behind:
            fetched = await self._reader.getmany(
                *behind, timeout_ms=FETCH_TIMEOUT_MS, max_records=MAX_RECORDS
            )
            # The next fetch is asked for before this one is worked on.
            await asyncio.sleep(0)
            for tp, records in fetched.items():
                yield self._taken(tp, records)
                moved_at = time.monotonic()
            for tp in behind:
                self._at[tp] = max(self._at[tp], await self._reader.position(tp))
            left = [tp for tp in behind if self._at[tp] < self._spans[tp].end]
            if left != behind:
                done = [tp for tp in behind if tp not in left]
                self._reader.pause(*done)
                behind = left
            if behind and time.monotonic() - moved_at > NO_PROGRESS_LIMIT_S:
                where = f"{behind[0].topic}/{behind[0].partition}"
                raise TransientError(f"{where} gives nothing before its end", hint="try again")

    def _taken(self, tp: TopicPartition, records: list[Record]) -> list[Record]:
        end = self._spans[tp].end
        if records[-1].offset >= end:
            records = [record for record in records if record.offset < end]
        self.read += len(records)
        if self._sample < 1:
            return sampled(records, self._sample)
        return records


def sampled(records: Sequence[Record], share: float) -> list[Record]:
    """Return about this share of the records of one partition: always the same ones, by their coordinates."""
    if not records:
        return []
    limit = int(share * _WHOLE)
    seed = crc32(f"{records[0].topic}/{records[0].partition}".encode())
    pack = _OFFSET.pack
    return [record for record in records if crc32(pack(record.offset), seed) < limit]
