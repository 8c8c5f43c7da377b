"""Topics that an agent follows beside its sources, as config says: they come and go without a rebalance.

The group assigns the partitions of the agent's sources, the *slots*; each partition of a followed topic
belongs to one slot. Where a slot stands in it is a row of the agent's own table, written in the transaction
of each chunk: its changelog alone says so, and the group's offsets have no part in it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from zlib import crc32

from aiokafka.structs import TopicPartition

from fleet.lane.bounded import bounded
from fleet.lane.errors import Halted

if TYPE_CHECKING:
    from fleet.lane.acquire import Hold

log = logging.getLogger(__name__)

Start: TypeAlias = Literal["earliest", "latest"]
Follows: TypeAlias = Callable[[], Mapping[str, Start]]
"""Gives the topics to follow now, and where to begin with one that was never read; the same object while
nothing changes."""

LOOK_EVERY_S: Final = 5.0
"""How often topics are looked at for new partitions."""


def slot_of(topic: str, partition: int, slots: int) -> int:
    """Return the slot that a partition of a followed topic belongs to; never changes for `slots`."""
    return (crc32(topic.encode()) + partition) % slots


def position_key(tp: TopicPartition) -> str:
    """Return the key of the row that says where a slot stands."""
    return f"{tp.topic}/{tp.partition}"


class Following:
    """What one task follows.

    Args:
        hold: The hold of its slot.
        follows: Gives the topics.
        table: Table of the positions.
        clock: Monotonic seconds.

    Attributes:
        next: Next offset of each partition that is followed.
    """

    def __init__(
        self, hold: Hold, follows: Follows, table: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.next: dict[TopicPartition, int] = {}
        self.table = table
        self._hold = hold
        self._follows = follows
        self._clock = clock
        self._wanted: Mapping[str, Start] | None = None
        self._looked_at = 0.0

    def is_to_look(self) -> bool:
        """Return whether other partitions may have to be followed."""
        return self._follows() is not self._wanted or self._clock() - self._looked_at > LOOK_EVERY_S

    async def look(self) -> bool:
        """Learn which partitions to follow, and from where; return whether they are others than before.

        Raises:
            Halted: Records of one were deleted before they were read.
            Lost: Kafka does not answer.
        """
        wanted = self._follows()
        found = await self._partitions(wanted)
        self._wanted, self._looked_at = wanted, self._clock()
        if found.keys() == self.next.keys():
            return False
        new = [tp for tp in found if tp not in self.next]
        starts = await self._starts(new, found) if new else {}
        kept = {tp: offset for tp, offset in self.next.items() if tp in found}
        self.next = {**kept, **starts}
        log.info(
            "%s/%d follows %s",
            self._hold.agent.name,
            self._hold.partition,
            ", ".join(sorted(map(position_key, self.next))) or "nothing",
        )
        return True

    async def _partitions(self, wanted: Mapping[str, Start]) -> dict[TopicPartition, Start]:
        topics, slot = self._hold.context.topics, self._hold.partition
        if not wanted:
            return {}
        topics.forget(wanted)
        await topics.ensure([*wanted, self._hold.agent.sources[0]])
        slots = topics.get(self._hold.agent.sources[0])
        found: dict[TopicPartition, Start] = {}
        for topic, start in wanted.items():
            info = topics.get(topic)
            for number in range(0 if info is None or slots is None else info.partitions):
                if slots is not None and slot_of(topic, number, slots.partitions) == slot:
                    found[TopicPartition(topic, number)] = start
        return found

    async def _starts(
        self, new: list[TopicPartition], start_of: Mapping[TopicPartition, Start]
    ) -> dict[TopicPartition, int]:
        reader, limit_s = self._hold.reader, self._hold.context.config.acquire_limit_s
        begins = await bounded(reader.beginning_offsets(new), limit_s, "reading offsets of followed topics")
        ends = await bounded(reader.end_offsets(new), limit_s, "reading offsets of followed topics")
        positions = self._hold.tables[self.table]
        starts = {}
        for tp in new:
            position: Any = positions.get(position_key(tp), None)
            if position is None:
                position = begins[tp] if start_of[tp] == "earliest" else ends[tp]
            elif not begins[tp] <= position <= ends[tp]:
                where = position_key(tp)
                message = (
                    f"{where} has offsets {begins[tp]} to {ends[tp]}, and not {position}, the next to be read"
                )
                raise Halted(message, hint="raise its retention; see `eventfleet state show`")
            starts[tp] = position
        return starts
