"""Topics that an agent follows beside its sources: they come and go without a rebalance.

The group assigns the partitions of the agent's sources, the *slots*; each partition of a followed topic
belongs to one slot. Where a slot stands in it is a row of the agent's own table, written in the transaction
of each chunk: its changelog alone says so, and the group's offsets have no part in it. The row of one that
is newly followed is committed before any of its records is processed, so that where to begin is found once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from zlib import crc32

import msgspec
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError, TransientError
from fleet.lane.bounded import bounded
from fleet.lane.errors import Halted, Lost
from fleet.lane.store import DELETED

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from fleet.lane.acquire import Hold
    from fleet.lane.record import Record
    from fleet.lane.state import State
    from fleet.lane.topics import TopicInfo

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 5.0
"""How often topics are looked at for new partitions."""

LOOK_AGAIN_S: Final = 1.0
"""How long after Kafka did not answer."""

WHOLE: Final = "*"
"""Stands for the partition in the key of the row that says how many partitions a topic had at first."""


class Follow(msgspec.Struct, frozen=True, gc=False):
    """A topic to follow, or one partition of it.

    Attributes:
        topic: The topic. One that does not exist yet is waited for.
        start: Where to begin in what was never read: at its end, at its beginning, or at an offset. A
            partition that the topic gets after it is followed from its end is read whole.
        partition: The one partition to follow, in this task; by default all that belong to the task's slot.
        token: Tells apart what is followed anew, for another purpose, from what was read before: each has its
            own position.
    """

    topic: str
    start: Literal["latest", "earliest"] | int = "latest"
    partition: int | None = None
    token: str = ""

    def __post_init__(self) -> None:
        """Refuse a start that there is not."""
        if not isinstance(self.start, int) and self.start not in ("latest", "earliest"):
            raise ValueError(self.start)


class Followed(msgspec.Struct, frozen=True, gc=False):
    """Where a task stands in a partition that it follows.

    Attributes:
        next: Offset of the next record to be processed.
        partitions: Partitions of its topic.
        caught_up: Whether all that is there is processed, and no transaction is open on it.
        token: Of the `Follow` that it is read for.
    """

    next: int
    partitions: int
    caught_up: bool
    token: str = ""


Follows: TypeAlias = "Callable[[State], tuple[Follow, ...]]"
"""Gives what to follow now; called between chunks, so cheap where nothing has changed."""


def slot_of(topic: str, partition: int, slots: int) -> int:
    """Return the slot that a partition of a followed topic belongs to; never changes for `slots`."""
    return (crc32(topic.encode()) + partition) % slots


def position_key(topic: str, partition: int | str, token: str = "") -> str:
    """Return the key of the row that says where a slot stands."""
    return f"{topic}/{partition}#{token}" if token else f"{topic}/{partition}"


class Following:
    """What one task follows.

    Args:
        hold: The hold of its slot.
        follows: Gives what to follow.
        table: Table of the positions.
        clock: Monotonic seconds.

    Attributes:
        next: Next offset of each partition that is followed.
        of: What it is followed for.
        pending: Rows of the table that are to be written before any more records are processed.
    """

    def __init__(
        self, hold: Hold, follows: Follows, table: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.next: dict[TopicPartition, int] = {}
        self.of: dict[TopicPartition, Follow] = {}
        self.pending: dict[str, Any] = {}
        self._table = table
        self._hold = hold
        self._follows = follows
        self._clock = clock
        self._name = f"{hold.agent.name}/{hold.partition}"
        self._wanted: tuple[Follow, ...] | None = None
        self._look_at = self._not_before = 0.0

    async def is_other(self, state: State, unread: Container[TopicPartition]) -> bool:
        """Look if it is time to, or if something else is asked for; see `look`.

        If Kafka does not answer, what is followed stays as it was for now.
        """
        now = self._clock()
        if now < self._not_before or (now < self._look_at and self._asked(state) == self._wanted):
            return False
        try:
            return await self.look(state, unread)
        except FatalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look asks again
            log.warning("%s does not look at what it follows: %s", self._name, error)
            self._not_before = self._clock() + LOOK_AGAIN_S
            return False

    def _asked(self, state: State) -> tuple[Follow, ...]:
        try:
            return self._follows(state)
        except (TransientError, FatalError, Lost):
            raise
        except Exception as error:
            message = f"agent {self._hold.agent.name}: its follows fails ({type(error).__name__})"
            raise FatalError(
                message, hint="mend it, or let it raise TransientError to be tried again"
            ) from error

    async def look(self, state: State, unread: Container[TopicPartition] = ()) -> bool:
        """Learn which partitions to follow, and from where; return whether they are others than before.

        Args:
            state: State of the task, without staged changes.
            unread: Those of which records are fetched and not processed, at any moment.

        Raises:
            Halted: Records of one were deleted before they were read.
            Exception: Kafka does not answer.
        """
        wanted = self._asked(state)
        self._look_at = self._clock() + LOOK_EVERY_S
        found = await self._found(wanted)
        new = {tp: follow for tp, follow in found.items() if self._key(tp) != _key_of(tp, follow)}
        pending = {**self._stale(wanted), **self._first_counts(wanted)}
        starts = await self._starts(new) if new else {}
        changed = bool(new) or found.keys() != self.of.keys()
        self.next = {tp: starts[tp] if tp in starts else self._read_to(tp, unread) for tp in found}
        self._wanted, self.of = wanted, found
        at = {_key_of(tp, follow): self.next[tp] for tp, follow in found.items()}
        self.pending = {**pending, **{key: next_ for key, next_ in at.items() if self._row(key) != next_}}
        if changed:
            log.info("%s follows %s", self._name, self.text() or "nothing")
        return changed

    async def _found(self, wanted: tuple[Follow, ...]) -> dict[TopicPartition, Follow]:
        """Return what there is of it; of two that are about one partition, the first."""
        if not wanted:
            return {}
        hold, topics = self._hold, self._hold.context.topics
        slots_topic, own = hold.agent.sources[0], {follow.topic for follow in wanted}
        if read_already := own.intersection(hold.agent.sources):
            message = f"agent {hold.agent.name} follows its own source {min(read_already)}"
            raise FatalError(message, hint="name other topics")
        topics.forget(own, older_than_s=LOOK_EVERY_S)
        await topics.ensure([*own, slots_topic])
        slots = topics.get(slots_topic)
        found: dict[TopicPartition, Follow] = {}
        for follow in wanted:
            for number in _numbers(follow, self.partitions(follow.topic), slots, hold.partition):
                found.setdefault(TopicPartition(follow.topic, number), follow)
        return found

    def partitions(self, topic: str) -> int:
        """Return how many partitions a followed topic has, as far as known; 0 where it does not exist."""
        info = self._hold.context.topics.get(topic)
        return 0 if info is None else info.partitions

    def _row(self, key: str) -> Any:
        return self._hold.tables[self._table].get(key)

    def _key(self, tp: TopicPartition) -> str | None:
        follow = self.of.get(tp)
        return None if follow is None else _key_of(tp, follow)

    def _first_counts(self, wanted: Iterable[Follow]) -> dict[str, int]:
        """Return the rows that are missing of how many partitions topics had when they were first followed.

        A partition that came later is read from its beginning: all of it came after the topic was followed.
        """
        counts = {
            position_key(each.topic, WHOLE, each.token): self.partitions(each.topic)
            for each in wanted
            if each.start == "latest"
        }
        return {key: count for key, count in counts.items() if self._row(key) is None}

    def _stale(self, wanted: tuple[Follow, ...]) -> dict[str, Any]:
        """Return what deletes the rows of what is not to be followed, whether its topic is there or not."""
        rows = self._hold.tables[self._table].items()
        return {key: DELETED for key, _ in rows if not any(_is_of(key, follow) for follow in wanted)}

    def _read_to(self, tp: TopicPartition, unread: Container[TopicPartition]) -> int:
        """Return the next offset, past commit markers behind the last record that was processed.

        Else, once all records were deleted by retention, such a marker would look like one that was lost.
        """
        position = self._hold.position(tp)
        at = self.next[tp]
        return at if position is None or tp in unread else max(at, position)

    async def _starts(self, new: Mapping[TopicPartition, Follow]) -> dict[TopicPartition, int]:
        """Return where to begin.

        Raises:
            Halted: The records from there on are gone.
        """
        reader, limit_s = self._hold.reader, self._hold.context.config.acquire_limit_s
        begins = await bounded(reader.beginning_offsets(new), limit_s, "reading offsets of followed topics")
        ends = await bounded(reader.end_offsets(new), limit_s, "reading offsets of followed topics")
        return {tp: self._start(tp, follow, begins[tp], ends[tp]) for tp, follow in new.items()}

    def _start(self, tp: TopicPartition, follow: Follow, begin: int, end: int) -> int:
        position: int | None = self._row(_key_of(tp, follow))
        if position is None and isinstance(follow.start, int):
            position = follow.start
        if position is not None:
            return _checked(tp, position, begin, end)
        if follow.start == "earliest":
            return begin
        known = self._row(position_key(tp.topic, WHOLE, follow.token))
        return begin if known is not None and tp.partition >= known else end

    def described(self, unread: Container[TopicPartition]) -> dict[TopicPartition, Followed]:
        """Return how the task stands in each partition, as ticks are told; see `look`."""
        return {
            tp: Followed(
                offset,
                self.partitions(tp.topic),
                tp not in unread and self._hold.is_at_end(tp),
                self.of[tp].token,
            )
            for tp, offset in self.next.items()
        }

    def stage(self, state: State, tp: TopicPartition | None, last: Record | None) -> None:
        """Put what is pending, and the position after a chunk, into its transaction.

        Args:
            state: State of the chunk.
            tp: What it is of.
            last: The last record of it, if there is any.
        """
        rows = state.staged[self._table]
        rows.update(self.pending)
        if tp in self.next and last is not None:
            rows[_key_of(tp, self.of[tp])] = last.offset + 1

    def committed(self, state: State, tp: TopicPartition | None) -> None:
        """Take note that the transaction of a chunk is committed; see `stage`."""
        self.pending = {}
        if tp in self.next:
            self.next[tp] = state.staged[self._table][_key_of(tp, self.of[tp])]

    def text(self) -> str:
        """Return what is followed and the next offsets, as people read them."""
        return ", ".join(f"{name} {offset}" for name, offset in sorted(self.named().items()))

    def named(self) -> dict[str, int]:
        """Return the next offsets by ``topic/partition``."""
        return {position_key(*tp): offset for tp, offset in self.next.items()}


def _key_of(tp: TopicPartition, follow: Follow) -> str:
    return position_key(tp.topic, tp.partition, follow.token)


def _is_of(key: str, follow: Follow) -> bool:
    """Return whether a row of the positions is about what is followed."""
    topic, _, rest = key.partition("/")
    partition, _, token = rest.partition("#")
    one = partition if follow.partition is None else str(follow.partition)
    return (topic, token) == (follow.topic, follow.token) and partition in (one, WHOLE)


def _numbers(follow: Follow, partitions: int, slots: TopicInfo | None, slot: int) -> Iterator[int]:
    """Yield the partitions of a topic that a slot follows."""
    for number in range(partitions):
        if follow.partition is not None:
            is_own = number == follow.partition
        else:
            is_own = slots is not None and slot_of(follow.topic, number, slots.partitions) == slot
        if is_own:
            yield number


def _checked(tp: TopicPartition, position: int, begin: int, end: int) -> int:
    """Return `position`, if it is still there to be read.

    Raises:
        Halted: It is not.
    """
    where = f"followed {position_key(*tp)}"
    if position < begin:
        message = f"{where}: offsets {position} to {begin - 1} were deleted before they were processed"
        hint = "raise the topic's retention; to accept the loss, stop following it, and follow it again"
        raise Halted(message, hint=hint)
    if position > end:
        message = f"{where} ends at {end}, before the position {position}: it was made anew"
        raise Halted(message, hint="stop following it, and follow it again")
    return position
