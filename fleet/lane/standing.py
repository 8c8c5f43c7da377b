"""Where a task stands, seen from outside, and the two ways to make its offsets agree again.

A task halts where the group's offset, the offset in its changelogs and the source do not agree
(`fleet.lane.acquire.start_offset`); only a person can say which of them is right.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import orjson
from aiokafka.errors import KafkaError, for_code
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError
from fleet.lane.acquire import Hold, start_offset
from fleet.lane.agent import LaneAgent
from fleet.lane.batches import Batches
from fleet.lane.errors import Fenced, Halted
from fleet.lane.host import LaneHost
from fleet.lane.loader import load
from fleet.lane.reading import kafka_trouble, open_reader
from fleet.lane.store import OFFSETS_KEY, Store
from fleet.lane.stores import MemoryStore
from fleet.lane.versions import committed_offsets

SHOW = "see `eventfleet state show`"


@dataclass(frozen=True, slots=True)
class Source:
    """One source partition of a task.

    Attributes:
        committed: The group's committed offset, or None.
        begin: First offset that Kafka still has.
        end: Last stable offset.
        differs: Why the task cannot go on from here, or an empty string.
    """

    committed: int | None
    begin: int
    end: int
    differs: str


@dataclass(frozen=True, slots=True)
class TableAt:
    """What a table's changelog holds: the next source offset by topic, and how many rows."""

    offsets: Mapping[str, int]
    rows: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand for one task.

    Attributes:
        agent: Name of the agent.
        sources: By source partition.
        tables: What each table's changelog holds; empty for an agent without tables.
    """

    agent: str
    sources: Mapping[TopicPartition, Source]
    tables: Mapping[str, TableAt]

    def of_tables(self, topic: str) -> set[int | None]:
        """Return the offsets of `topic` that the tables stand at: one, if all is well."""
        return {content.offsets.get(topic) for content in self.tables.values()}


@dataclass(frozen=True, slots=True)
class Change:
    """What to write so that a task can go on.

    Attributes:
        offsets: New offsets of the group.
        marks: Offsets by source topic to write into each changelog; empty to leave them.
        lines: What that means, for the person who decides.
    """

    offsets: Mapping[TopicPartition, int]
    marks: Mapping[str, int]
    lines: tuple[str, ...]


Decide = Callable[[Standing], Change]


async def look(host: LaneHost, agent: LaneAgent, partition: int) -> Standing:
    """Return how the task of `agent` and `partition` stands; changes nothing.

    While its owner runs, offsets move between one look-up and the next.

    Raises:
        TransientError: Kafka does not answer.
    """
    sources = [TopicPartition(topic, partition) for topic in agent.sources]
    async with open_reader(host.config) as reader:
        positions = await host.topics.positions(host.group, sources)
        begins = await reader.beginning_offsets(sources)
        ends = await reader.end_offsets(sources)
        changelogs = {table: TopicPartition(host.changelog(table), partition) for table in agent.tables}
        await host.topics.ensure(tp.topic for tp in changelogs.values())
        stores: dict[str, Store] = {table: MemoryStore() for table in changelogs}
        there = {
            tp: stores[table] for table, tp in changelogs.items() if host.topics.get(tp.topic) is not None
        }
        if there:
            await load(reader, there)
    elsewhere = await _elsewhere(host, agent, partition)
    found = {}
    for tp in sources:
        position = positions[tp]
        committed = None if position is None else position.offset
        is_inbox = tp.topic == agent.inbox
        differs = elsewhere or _difference(tp, committed, stores, begins[tp], ends[tp], is_inbox=is_inbox)
        found[tp] = Source(committed, begins[tp], ends[tp], differs)
    tables = {table: TableAt(store.offsets, len(store)) for table, store in stores.items()}
    return Standing(agent.name, found, tables)


async def _elsewhere(host: LaneHost, agent: LaneAgent, partition: int) -> str:
    """Return why the work is another version's, or an empty string."""
    try:
        await committed_offsets(host, agent, partition)
    except Halted as error:
        return str(error)
    return ""


def _difference(
    tp: TopicPartition,
    committed: int | None,
    tables: Mapping[str, Store],
    begin: int,
    end: int,
    *,
    is_inbox: bool,
) -> str:
    try:
        start_offset(tp, committed, tables, begin, end, is_inbox=is_inbox)
    except Halted as error:
        return error.message
    return ""


async def members(host: LaneHost) -> int:
    """Return the number of active members of the group.

    Raises:
        TransientError: Kafka does not answer.
    """
    try:
        admin = await host.topics.admin()
        # One group at a time: the client misreads an answer about several.
        (answer,) = await admin.describe_consumer_groups([host.group])
        code, *_, found = answer.groups[0]
        if code:
            raise for_code(code)(host.group)
    except KafkaError as error:
        raise kafka_trouble(host.config, error) from error
    return len(found)


def adoption(standing: Standing) -> Change:
    """Decide to set the group's offsets to those that the tables stand at.

    Raises:
        FatalError: There is nothing to adopt, or it would not help.
    """
    if not standing.tables:
        message = f"agent {standing.agent} has no tables: its position is the group's alone"
        raise FatalError(message, hint="there is nothing to adopt")
    offsets, lines = {}, []
    for tp, source in standing.sources.items():
        if {source.committed} == standing.of_tables(tp.topic) == {None} and not source.differs:
            continue  # Nothing of it was processed yet.
        wanted = _adopted(standing, tp, source)
        if wanted != source.committed:
            offsets[tp] = wanted
            lines.append(f"{_name(tp)}: the group goes from {_shown(source.committed)} to {wanted}")
        if wanted < source.begin:
            lines.append(
                f"{_name(tp)}: {_loss(wanted, source.begin)}; `eventfleet state skip` can accept that next"
            )
    if not offsets:
        raise FatalError(f"{_task(standing)}: group and tables agree", hint="there is nothing to adopt")
    return Change(offsets, {}, tuple(lines))


def _adopted(standing: Standing, tp: TopicPartition, source: Source) -> int:
    found = standing.of_tables(tp.topic)
    if len(found) > 1:
        listed = ", ".join(
            f"{name} at {_shown(at.offsets.get(tp.topic))}" for name, at in standing.tables.items()
        )
        raise FatalError(f"the tables do not agree on {_name(tp)}: {listed}", hint="restore the changelogs")
    (wanted,) = found
    if wanted is None:
        message = f"the changelogs hold no offset of {_name(tp)}: their topics were made anew"
        hint = "restore them; or delete the group too, to process all again from the start of the source"
        raise FatalError(message, hint=hint)
    if wanted > source.end:
        message = f"{_name(tp)} ends at {source.end}, before the tables' offset {wanted}: it was made anew"
        raise FatalError(message, hint="adopting would not help: restore the source topic")
    return wanted


def skipping(standing: Standing) -> Change:
    """Decide to go on at the source's first offset where the next ones were deleted unprocessed.

    Raises:
        FatalError: Nothing was deleted, or group and tables do not agree.
    """
    offsets, marks, lines = {}, {}, []
    for tp, source in standing.sources.items():
        if standing.tables and standing.of_tables(tp.topic) != {source.committed}:
            raise FatalError(f"{_name(tp)}: {source.differs}", hint="first run `eventfleet state adopt`")
        if source.committed is None:
            continue
        marks[tp.topic] = max(source.committed, source.begin)
        if source.committed < source.begin:
            offsets[tp] = source.begin
            lines.append(f"{_name(tp)}: {_loss(source.committed, source.begin)}")
    if not offsets:
        raise FatalError(
            f"{_task(standing)}: nothing was deleted unprocessed", hint="there is nothing to skip"
        )
    return Change(offsets, marks if standing.tables else {}, tuple(lines))


def _loss(committed: int, begin: int) -> str:
    return f"offsets {committed} to {begin - 1} are lost, at most {begin - committed} records"


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}/{tp.partition}"


def _task(standing: Standing) -> str:
    return f"{standing.agent}/{next(iter(standing.sources)).partition}"


def _shown(offset: int | None) -> str:
    return "none" if offset is None else str(offset)


async def carry_out(host: LaneHost, agent: LaneAgent, partition: int, decide: Decide, agreed: Change) -> None:
    """Write `agreed` in one transaction of the task's own, which fences an owner that runs.

    Args:
        host: The worker's lane, not running.
        agent: The agent.
        partition: The partition.
        decide: Decides again once nobody else can write.
        agreed: The decision that a person agreed to.

    Raises:
        FatalError: Things have moved since, or an owner came back.
        Lost: Kafka did not confirm; nothing is known of the outcome.
    """
    async with _fenced(host, agent, partition) as hold:
        if decide(await look(host, agent, partition)) != agreed:
            raise FatalError(f"{agent.name}/{partition} has moved since it was shown", hint=SHOW)
        batches = Batches()
        if agreed.marks:
            await host.topics.require(hold.changelogs.values(), by=agent.name)
        for topic in hold.changelogs.values() if agreed.marks else ():
            if (info := host.topics.get(topic)) is not None:
                batches.add(topic, info, partition, OFFSETS_KEY, orjson.dumps(dict(agreed.marks)))
        batches.close()
        await hold.transactor.commit(batches, agreed.offsets)


@asynccontextmanager
async def _fenced(host: LaneHost, agent: LaneAgent, partition: int) -> AsyncIterator[Hold]:
    # By a transaction whatever the agent's own guarantee: this is no member of the group.
    hold = Hold(replace(agent, guarantee="exactly_once"), partition, host)
    try:
        await hold.transactor.fence()
        yield hold
    except Fenced as error:
        raise FatalError(f"a worker took {agent.name}/{partition} meanwhile", hint=SHOW) from error
    finally:
        hold.discard()
