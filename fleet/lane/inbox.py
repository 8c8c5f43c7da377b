"""The inbox of an agent: dead letters that it alone is to process again (engine trap 14).

It is a source like the others, of the same tasks, but nearly always empty. A reader that asks for it
together with the busy ones would wait for it: so it is read only while something is in it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from fleet.lane.bounded import bounded
from fleet.lane.dead_letters import ATTEMPT, PREFIX, REKEYED, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiokafka import AIOKafkaConsumer
    from aiokafka.structs import TopicPartition

    from fleet.lane.effects import Headers
    from fleet.lane.record import Record

log = logging.getLogger(__name__)

INBOX_PREFIX = "fleet.redrive."
LOOK_EVERY_S = 1.0
LOOK_LIMIT_S = 5.0


class Redriven(msgspec.Struct, frozen=True, gc=False):
    """A record of the inbox, as its agent sees it: at the position where it was first read.

    So what an agent derives from the position, ids above all, is the same as it would have been then.

    Attributes:
        topic: First topic.
        partition: First partition.
        offset: First offset.
        timestamp: First timestamp, epoch milliseconds.
        key: Partition key.
        value: Value.
        headers: Headers, without those that it had as a dead letter.
        letter: What those said, by name without the prefix.
        attempt: Which attempt at it this is, 2 for the first redrive.
        inbox_offset: Offset in the inbox.
        place: Where it was read: ``topic/partition/offset`` of the inbox.
        kept: Headers that it keeps should it become a dead letter again.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    letter: dict[str, str]
    attempt: int
    inbox_offset: int
    place: str
    kept: Headers


def redriven(record: Record) -> Redriven:
    """Return a record of the inbox as its agent is to see it.

    One that does not say where it was first, which nobody redrove, is where it is.
    """
    why = reason_of(record.headers)
    try:
        topic = why["topic"]
        partition, offset, timestamp = (int(why[name]) for name in ("partition", "offset", "timestamp"))
        attempt = int(why.get(ATTEMPT, "2"))
    except (KeyError, ValueError):
        topic, partition, offset, timestamp = record.topic, record.partition, record.offset, record.timestamp
        attempt = 1
    return Redriven(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(header for header in record.headers if not header[0].startswith(PREFIX)),
        letter=why,
        attempt=attempt,
        inbox_offset=record.offset,
        place=f"{record.topic}/{record.partition}/{record.offset}",
        kept=tuple(header for header in record.headers if header[0] == REKEYED),
    )


class Inbox:
    """One task's partition of the inbox.

    Attributes:
        tp: The partition.
        end: Its last stable offset, as far as known.
    """

    def __init__(self, reader: AIOKafkaConsumer, tp: TopicPartition) -> None:
        self._reader = reader
        self._is_read = False
        self.tp = tp
        self.end = 0

    def stopped(self) -> TopicPartition:
        """Return its partition, which is not read from then on until something is there."""
        self._is_read = False
        return self.tp

    def turn(self, position: int | None) -> None:
        """Read on from `position` where something is there, and stop where nothing is."""
        wanted = position is not None and position < self.end
        if wanted != self._is_read:
            (self._reader.resume if wanted else self._reader.pause)(self.tp)
            self._is_read = wanted


async def watch_inboxes(holds: Callable[[], Iterable[Any]]) -> None:
    """Tell each inbox its end from time to time, for ever.

    Args:
        holds: Gives the holds (`fleet.lane.acquire.Hold`) that have an inbox, ready ones.
    """
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        by_agent: dict[str, list[Any]] = {}
        for hold in holds():
            by_agent.setdefault(hold.agent.name, []).append(hold)
        for agent, listed in by_agent.items():
            wanted = [hold.inbox.tp for hold in listed]
            try:
                # One question for all tasks of the agent, by the reader of any.
                found = await bounded(listed[0].reader.end_offsets(wanted), LOOK_LIMIT_S, "asking")
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round asks again
                log.debug("inbox of %s: %s: %s", agent, type(error).__name__, error)
                continue
            for hold in listed:
                hold.inbox.end = found[hold.inbox.tp]
