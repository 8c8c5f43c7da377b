"""How a task takes hold of its partition: fence, offsets, state, seek; in this order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.structs import TopicPartition

from fleet.lane.at_least_once import AtLeastOnce
from fleet.lane.bounded import bounded
from fleet.lane.clients import assign_at, discard, new_reader
from fleet.lane.errors import Halted
from fleet.lane.following import Following
from fleet.lane.inbox import Inbox
from fleet.lane.loader import COMMIT_MARKER, load
from fleet.lane.state import State
from fleet.lane.transaction import Transactor
from fleet.lane.versions import committed_offsets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from aiokafka import ConsumerRecord

    from fleet.lane.agent import LaneAgent
    from fleet.lane.context import LaneContext
    from fleet.lane.errors import StoreError
    from fleet.lane.store import Store


LOAD_FETCH_BYTES = 8 << 20


class Hold:
    """What one hold on a partition owns; made anew for each, discarded whole.

    Attributes:
        transactor: The fenced producer.
        reader: The consumer, positioned by the lane alone.
        next: Next source offset of each source partition; moved by a confirmed commit only.
        tables: Store of committed rows by table name.
        changelogs: Changelog topic by table name.
        inbox: The partition of the agent's inbox, if it has one.
        following: What it reads beside its sources, if its agent follows topics.
        loaded: Changelog records that were read to bring the stores up to date.
    """

    def __init__(self, agent: LaneAgent, partition: int, context: LaneContext) -> None:
        self.agent = agent
        self.partition = partition
        self.context = context
        self.sources = [TopicPartition(topic, partition) for topic in agent.sources]
        self.transactor: Transactor | AtLeastOnce
        if agent.guarantee == "at_least_once":
            self.transactor = AtLeastOnce(context.config, context.membership, f"{agent.name}/{partition}")
        else:
            transactional_id = context.version.transactional_id(agent.name, partition)
            self.transactor = Transactor(context.config, context.group, transactional_id)
        self.reader = new_reader(context.config, max_fetch_bytes=agent.max_fetch_bytes)
        inbox = TopicPartition(agent.inbox, partition)
        self.inbox = Inbox(self.reader, inbox) if agent.inbox else None
        self.following = (
            None if agent.follows is None else Following(self, agent.follows, agent.positions_table)
        )
        self.next: dict[TopicPartition, int] = {}
        self.tables: dict[str, Store] = {}
        self.changelogs = {table: context.changelog(table) for table in agent.tables}
        self.loaded = 0
        self.ready = False

    def from_next(self, tp: TopicPartition, records: list[ConsumerRecord]) -> list[ConsumerRecord]:
        """Drop records that are committed already (trap 2: the lane owns the position)."""
        expected = self.next.get(tp)
        if expected is None:
            expected = self._followed()[tp]
        if records[0].offset >= expected:
            return records
        return [record for record in records if record.offset >= expected]

    def _followed(self) -> dict[TopicPartition, int]:
        return {} if self.following is None else self.following.next

    def reads(self) -> dict[TopicPartition, int]:
        """Return the next offset of everything that is read."""
        return {**self.next, **self._followed()}

    async def take_position(self, paused: Collection[TopicPartition] = ()) -> None:
        """Let the reader read everything from where the last transaction left it.

        Raises:
            Lost: It does not.
        """
        limit_s = self.context.config.acquire_limit_s
        await bounded(assign_at(self.reader, self.reads(), paused), limit_s, "taking the position")

    def lag(self) -> int:
        """Return the offsets between the position and the last stable offset, over all that is read."""
        if not self.ready:
            return 0
        return sum(self._lag(tp, offset) for tp, offset in self.reads().items())

    def _lag(self, tp: TopicPartition, offset: int) -> int:
        end, position = self._end(tp), self.position(tp)
        at = offset if position is None else max(position, offset)
        return max(0, (end or 0) - at)

    def _end(self, tp: TopicPartition) -> int | None:
        if self.inbox is not None and tp == self.inbox.tp:
            return self.inbox.end
        state = self._state(tp)
        end: int | None = None if state is None else state.lso
        return end

    def _state(self, tp: TopicPartition) -> Any:
        # Where what is followed changes, it is known here a moment before the reader has it.
        return self.reader._subscription.subscription.assignment.state_value(tp)  # noqa: SLF001

    def position(self, tp: TopicPartition) -> int | None:
        """Return the offset that the reader gives next of a partition, None where it does not read it."""
        state = self._state(tp)
        position: int | None = None if state is None else state._position  # noqa: SLF001
        return position

    def is_at_end(self, tp: TopicPartition) -> bool:
        """Return whether the reader has given all of a partition, and no transaction is open on it."""
        state, position = self._state(tp), self.position(tp)
        return position is not None and state.highwater is not None and position >= state.highwater

    def state(self) -> State:
        """Return the state of the task as it is now."""
        return State(self.tables, self.partition, self.agent.config(), self.context.config.clock())

    def look_at_inbox(self) -> None:
        """Read the inbox while something is in it."""
        if self.inbox is not None:
            self.inbox.turn(self.position(self.inbox.tp))

    def caught_up(self) -> bool:
        """Return whether the reader knows the last stable offset of every source and stands there."""
        known = all(self._end(tp) is not None for tp in self.reads())
        return self.ready and known and self.lag() == 0

    def rows(self) -> int:
        """Return the rows of all tables."""
        return sum(len(table) for table in self.tables.values())

    def failed(self) -> StoreError | None:
        """Return why a store cannot be relied on any more, or None.

        Its error may have been raised in an agent's function that caught it, or in a web view.
        """
        return next((store.failure for store in self.tables.values() if store.failure), None)

    def offsets_text(self) -> str:
        """Return the next offsets, as people read them."""
        return ", ".join(f"{name} {offset}" for name, offset in self.named().items())

    def named(self) -> dict[str, int]:
        """Return the next offsets by topic, and by ``topic/partition`` of what is followed."""
        followed = {} if self.following is None else self.following.named()
        return {tp.topic: offset for tp, offset in self.next.items()} | followed

    def discard(self) -> None:
        """Close the stores; give up producer and reader in the background."""
        self.ready = False
        for store in self.tables.values():
            store.close()
        self.transactor.discard()
        discard(self.reader)


async def acquire(hold: Hold) -> None:
    """Take the partition.

    Raises:
        Lost: A step failed; start again from the first.
        Halted: State, offsets and source do not agree; a person has to decide.
    """
    context = hold.context
    limit_s = context.config.acquire_limit_s
    await context.check_partitions(hold.agent)
    # Before the fence too: a version that was left must not disturb the one that works.
    await bounded(_committed(hold), limit_s, "reading committed offsets")
    await hold.transactor.fence()
    await bounded(hold.reader.start(), limit_s, f"reader of {hold.agent.name}/{hold.partition}")
    committed = await bounded(_committed(hold), limit_s, "reading committed offsets")
    await _load_tables(hold)
    begins = await bounded(hold.reader.beginning_offsets(hold.sources), limit_s, "reading source offsets")
    ends = await bounded(hold.reader.end_offsets(hold.sources), limit_s, "reading source offsets")
    for tp in hold.sources:
        is_inbox = hold.inbox is not None and tp == hold.inbox.tp
        hold.next[tp] = start_offset(tp, committed[tp], hold.tables, begins[tp], ends[tp], is_inbox=is_inbox)
    paused = []
    if hold.inbox is not None:
        hold.inbox.end = ends[hold.inbox.tp]
        paused.append(hold.inbox.tp)
    if hold.following is not None:
        await hold.following.look(hold.state())
    await hold.take_position(paused)
    hold.ready = True


async def _committed(hold: Hold) -> dict[TopicPartition, int | None]:
    return await committed_offsets(hold.context, hold.agent, hold.partition)


async def _load_tables(hold: Hold) -> None:
    if not hold.changelogs:
        return
    context = hold.context
    for table in hold.changelogs:
        hold.tables[table] = await context.open_store(table, hold.partition)
    reader = new_reader(context.config, max_fetch_bytes=LOAD_FETCH_BYTES)
    try:
        await bounded(reader.start(), context.config.acquire_limit_s, "changelog reader")
        changelogs = {
            table: TopicPartition(topic, hold.partition) for table, topic in hold.changelogs.items()
        }
        stores = {tp: hold.tables[table] for table, tp in changelogs.items()}
        read = await load(reader, stores, context.topics.tombstones_ms)
        hold.loaded = sum(read.values())
    finally:
        discard(reader)


def start_offset(
    tp: TopicPartition,
    committed: int | None,
    tables: Mapping[str, Store],
    begin: int,
    end: int,
    *,
    is_inbox: bool = False,
) -> int:
    """Return where to go on, or refuse where going on would lose or repeat events.

    Args:
        tp: Source partition.
        committed: The group's committed offset, or None.
        tables: Store of each table, brought to the end of its changelog.
        begin: First offset that the source still has.
        end: Last stable offset of the source.
        is_inbox: Whether it is the agent's inbox. An agent may get one later, and only
            transactions write to it.

    Raises:
        Halted: The group's offset, the tables' offset and the source do not agree.
    """
    where = f"{tp.topic}/{tp.partition}"
    for table, store in tables.items():
        stands_at = store.offsets.get(tp.topic)
        unknown = stands_at is None and not is_inbox
        if stands_at != committed or (unknown and any(True for _ in store.items())):
            message = f"table {table} stands at offset {stands_at} of {where}, the group at {committed}"
            raise Halted(message, hint="see `eventfleet state show`, then `eventfleet state adopt`")
    if committed is None:
        return begin
    if is_inbox and committed == begin - COMMIT_MARKER == end - COMMIT_MARKER:
        return begin  # All that was in it was read, and then deleted with its commit marker.
    if committed < begin:
        message = f"{where}: offsets {committed} to {begin - 1} were deleted before they were processed"
        raise Halted(
            message, hint="raise the topic's retention; accept the loss with `eventfleet state skip`"
        )
    if committed > end:
        message = f"{where} ends at {end}, before the committed offset {committed}: it was made anew"
        raise Halted(message, hint="see `eventfleet state show`")
    return committed
