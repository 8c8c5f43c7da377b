"""Where the copies and the dead letters of an event are, and whether the router has got to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka.structs import TopicPartition

from agents.router.deciding import CONFIG_HEADER
from agents.router.dry_run.reading import Reading, Span
from fleet.lane.dead_letters import PREFIX, RULE_HEADER, reason_of
from fleet.lane.partitioner import partition_of
from fleet.lane.reading import open_reader
from fleet.lane.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from aiokafka import AIOKafkaConsumer

    from fleet.lane import LaneConfig, Record

DEAD_LETTERS: Final = "fleet.dead-letters.router"
CLOCK_SLACK_MS: Final = 10_000
"""How far the clocks of a producer and of the router may differ."""

WINDOW: Final = 5_000
MAX_SEARCHED: Final = 100_000
"""Offsets of a partition that are searched, from the time of the event on."""

Place = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """What was found of an event.

    Attributes:
        copies: Its copies: topic, partition, offset, rule, config offset.
        dead_letters: Its dead letters: partition, offset, reason, step, detail, rule.
        searched: What was searched for copies, and which of it gave none.
    """

    copies: list[Place]
    dead_letters: list[Place]
    searched: list[Place]


async def trace(config: LaneConfig, record: Record, keys: Mapping[str, Collection[bytes | None]]) -> Trace:
    """Look for what became of an event.

    Args:
        config: How to reach Kafka.
        record: The event.
        keys: Keys that a copy may have, by the topics that it may be in.

    Raises:
        TransientError: Kafka does not answer.
    """
    topics = Topics(config)
    try:
        await topics.ensure([*keys, DEAD_LETTERS])
        counts = {
            topic: 0 if (info := topics.get(topic)) is None else info.partitions
            for topic in [*keys, DEAD_LETTERS]
        }
    finally:
        await topics.close()
    async with open_reader(config) as reader:
        searching = _Searching(reader, record)
        copies, searched = [], []
        for topic in sorted(keys):
            if not counts[topic]:
                searched.append({"topic": topic, "found": False, "reason": "the topic does not exist"})
                continue
            partitions = {_partition(record, key, counts[topic]) for key in keys[topic]}
            for partition in sorted(partitions):
                place, found = await searching.first(topic, partition, _same(record))
                searched.append(place)
                copies += [_copy(each) for each in found]
        letters: list[Place] = []
        if counts[DEAD_LETTERS]:
            _, found = await searching.all(
                DEAD_LETTERS, record.partition % counts[DEAD_LETTERS], _letter_of(record)
            )
            letters = [_letter(each) for each in found]
    return Trace(copies, letters, searched)


async def progress(config: LaneConfig, group: str, record: Record) -> dict[str, Any]:
    """Return whether the router has got to an event, and how far it is from it.

    Raises:
        TransientError: Kafka does not answer.
    """
    tp = TopicPartition(record.topic, record.partition)
    topics = Topics(config)
    try:
        found = (await topics.positions(group, [tp]))[tp]
    finally:
        await topics.close()
    committed = 0 if found is None else found.offset
    if record.offset < committed:
        return {"state": "routed", "next_offset": committed}
    lag = record.offset - committed + 1
    return {
        "state": "waiting",
        "next_offset": committed,
        "lag": lag,
        "reason": f"not routed yet: {lag} events before it and itself",
    }


class _Searching:
    """Searches partitions from the time of an event on.

    Args:
        reader: A consumer of committed records.
        record: The event.
    """

    def __init__(self, reader: AIOKafkaConsumer, record: Record) -> None:
        self._reader = reader
        self._since_ms = max(0, record.timestamp - CLOCK_SLACK_MS)

    async def first(
        self, topic: str, partition: int, matches: Callable[[Record], bool]
    ) -> tuple[Place, list[Record]]:
        """Return the first record that matches, and where was searched."""
        return await self._search(topic, partition, matches, stop=True)

    async def all(
        self, topic: str, partition: int, matches: Callable[[Record], bool]
    ) -> tuple[Place, list[Record]]:
        """Return all records that match, and where was searched."""
        return await self._search(topic, partition, matches, stop=False)

    async def _search(
        self, topic: str, partition: int, matches: Callable[[Record], bool], *, stop: bool
    ) -> tuple[Place, list[Record]]:
        tp = TopicPartition(topic, partition)
        end = (await self._reader.end_offsets([tp]))[tp]
        begin = (await self._reader.offsets_for_times({tp: self._since_ms}))[tp]
        start = at = end if begin is None else begin.offset
        last = min(end, start + MAX_SEARCHED)
        found: list[Record] = []
        while at < last and not (found and stop):
            window = Span(topic, partition, at, min(at + WINDOW, last))
            async for records in Reading(self._reader, [window]).pieces():
                found += [record for record in records if matches(record)]
            at = window.end
        place: Place = {
            "topic": topic,
            "partition": partition,
            "from": start,
            "until": at,
            "found": bool(found),
        }
        if not found and last < end:
            place["reason"] = f"given up after {MAX_SEARCHED:,} offsets of {end - start:,}"
        return place, found


def _partition(record: Record, key: bytes | None, partitions: int) -> int:
    return record.partition % partitions if key is None else partition_of(key, partitions)


def _same(record: Record) -> Callable[[Record], bool]:
    """Return what tells whether a record is a copy of an event: by its identity, else by its value."""
    identity = _identity(record)

    def same(other: Record) -> bool:
        headers = dict(other.headers)
        if RULE_HEADER not in headers:
            return False
        return _identity(other) == identity if identity[0] is not None else other.value == record.value

    return same


def _identity(record: Record) -> tuple[bytes | None, bytes | None]:
    headers = dict(record.headers)
    return headers.get("ce_id"), headers.get("ce_source")


def _letter_of(record: Record) -> Callable[[Record], bool]:
    """Return what tells whether a record is a dead letter of an event."""
    wanted = {
        f"{PREFIX}topic": record.topic.encode(),
        f"{PREFIX}partition": b"%d" % record.partition,
        f"{PREFIX}offset": b"%d" % record.offset,
    }

    def matches(other: Record) -> bool:
        return wanted.items() <= dict(other.headers).items()

    return matches


def _copy(record: Record) -> Place:
    headers = dict(record.headers)
    config = headers.get(CONFIG_HEADER, b"").decode(errors="replace")
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "written_ms": record.timestamp,
        "rule": headers[RULE_HEADER].decode(errors="replace"),
        "config_offset": int(config) if config.isdigit() else None,
    }


def _letter(record: Record) -> Place:
    why = reason_of(record.headers)
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "failed_ms": record.timestamp,
        **{name: why.get(name, "") for name in ("reason", "step", "detail", "rule", "target")},
    }
