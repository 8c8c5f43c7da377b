"""Reading dead letters from the newest backwards, a page at a time, in bounded memory."""

from __future__ import annotations

import base64
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson
from aiokafka.structs import TopicPartition

from fleet.errors import TransientError
from fleet.lane.clients import assign_at
from fleet.lane.reading import open_reader, read
from fleet.lane.topics import Topics
from tables.dead_letters.letter import Letter, letter_of
from tables.errors import InvalidInputError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord

    from fleet.lane.config import LaneConfig
    from tables.dead_letters.selection import Selection
    from tables.log import Row

BLOCK: Final = 200
"""Offsets of a partition that are read at once; of what they hold only the letters are kept."""

MOST_SCANNED: Final = 20_000
"""Letters looked at for one page; where few are wanted ones, the page ends before it is full."""

FETCH_TIMEOUT_MS: Final = 200
NO_PROGRESS_LIMIT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Page:
    """Some dead letters, the newest first.

    Attributes:
        letters: The letters.
        after: What to ask the next page by; empty on the last one.
    """

    letters: list[Letter]
    after: str


async def newest(
    config: LaneConfig,
    topics: list[str],
    rows: Mapping[str, Row],
    wanted: Selection,
    *,
    after: str,
    limit: int,
) -> Page:
    """Return one page of the letters in `topics` that `wanted` takes.

    Raises:
        InvalidInputError: `after` is not of an earlier page.
        FatalError: A topic does not exist.
        TransientError: Kafka does not answer.
    """
    async with open_reader(config) as reader:
        tps = await _partitions(config, topics)
        begins, befores = await _bounds(reader, tps, wanted)
        if after:
            befores |= {tp: min(befores[tp], at) for tp, at in _parsed(after).items() if tp in befores}
        scan = _Scan(reader, rows, begins, befores)
        found: list[Letter] = []
        scanned = 0
        while len(found) < limit and scanned < MOST_SCANNED and (letter := await scan.next()) is not None:
            scanned += 1
            if wanted.takes(letter):
                found.append(letter)
        return Page(found, scan.cursor())


async def oldest_first(
    config: LaneConfig, topics: list[str], wanted: Selection
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the records of `topics`, those that are there now, from the time that `wanted` begins with."""
    async with open_reader(config) as reader:
        tps = await _partitions(config, topics)
        begins, _ = await _bounds(reader, tps, wanted)
    async with aclosing(read(config, topics, begins)) as records:
        async for record in records:
            yield record


async def _partitions(config: LaneConfig, topics: list[str]) -> list[TopicPartition]:
    known = Topics(config)
    try:
        counts = await known.require(topics, by="dead letters")
    finally:
        await known.close()
    return [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]


async def _bounds(
    reader: AIOKafkaConsumer, tps: list[TopicPartition], wanted: Selection
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return the first offset of the time that is wanted, and the one after the last, by partition."""
    begins, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
    if wanted.since_ms:
        at = await reader.offsets_for_times(dict.fromkeys(tps, wanted.since_ms))
        begins |= {tp: ends[tp] if at.get(tp) is None else max(begins[tp], at[tp].offset) for tp in tps}
    if wanted.until_ms:
        at = await reader.offsets_for_times(dict.fromkeys(tps, wanted.until_ms))
        ends |= {tp: min(ends[tp], at[tp].offset) for tp in tps if at.get(tp) is not None}
    return begins, ends


class _Scan:
    """Partitions read backwards, block by block, merged by the time at which letters were set aside."""

    def __init__(
        self,
        reader: AIOKafkaConsumer,
        rows: Mapping[str, Row],
        begins: Mapping[TopicPartition, int],
        befores: Mapping[TopicPartition, int],
    ) -> None:
        self._reader = reader
        self._rows = rows
        self._begins = begins
        self._unread = dict(befores)
        self._given = dict(befores)
        self._waiting: dict[TopicPartition, deque[Letter]] = {tp: deque() for tp in befores}

    async def next(self) -> Letter | None:
        """Return the newest letter that was not returned yet."""
        while lacking := [tp for tp, letters in self._waiting.items() if not letters and self._is_left(tp)]:
            await self._fill(lacking)
        waiting = [(letters[-1].failed_at_ms, tp) for tp, letters in self._waiting.items() if letters]
        if not waiting:
            return None
        _, tp = max(waiting)
        letter = self._waiting[tp].pop()
        self._given[tp] = letter.offset
        return letter

    def cursor(self) -> str:
        """Return where the next page begins; empty where nothing is left."""
        if not any(self._waiting.values()) and not any(self._is_left(tp) for tp in self._unread):
            return ""
        # What is in no letter that was given, markers and all, is read again.
        at = {
            f"{tp.topic}/{tp.partition}": self._given[tp] if self._waiting[tp] else self._unread[tp]
            for tp in self._unread
        }
        return base64.urlsafe_b64encode(orjson.dumps(at)).decode().rstrip("=")

    def _is_left(self, tp: TopicPartition) -> bool:
        return bool(self._unread[tp] > self._begins[tp])

    async def _fill(self, tps: Iterable[TopicPartition]) -> None:
        """Read one block more of each."""
        ends = {tp: self._unread[tp] for tp in tps}
        starts = {tp: max(self._begins[tp], end - BLOCK) for tp, end in ends.items()}
        await assign_at(self._reader, starts)
        moved_at = time.monotonic()
        while behind := [tp for tp in starts if await self._reader.position(tp) < ends[tp]]:
            fetched = await self._reader.getmany(*behind, timeout_ms=FETCH_TIMEOUT_MS, max_records=BLOCK)
            for tp, records in fetched.items():
                letters = (letter_of(record, self._rows) for record in records if record.offset < ends[tp])
                self._waiting[tp].extend(letters)
                moved_at = time.monotonic()
            if time.monotonic() - moved_at > NO_PROGRESS_LIMIT_S:
                where = f"{behind[0].topic}/{behind[0].partition}"
                raise TransientError(f"{where} gives nothing before its end", hint="try again")
        self._unread.update(starts)


def _parsed(cursor: str) -> dict[TopicPartition, int]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        pairs = {name.rpartition("/"): int(at) for name, at in found.items()}
        return {TopicPartition(topic, int(number)): at for (topic, _, number), at in pairs.items()}
    except (AttributeError, TypeError, ValueError):
        raise InvalidInputError(
            "after is not what a page gave", field="after", hint="begin again without it"
        ) from None
