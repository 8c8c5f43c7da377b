"""Moving an agent's offsets and state from one version of its app to another, partition by partition.

An interrupted move is done again from its start; what the old version holds is only marked as
left (docs/adr/0008-versions-and-migration.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from fleet.errors import FatalError, PermanentError
from fleet.lane.batches import Batches
from fleet.lane.context import same_partitions
from fleet.lane.errors import Fenced
from fleet.lane.loader import load
from fleet.lane.reading import open_reader
from fleet.lane.staging import changelog_row
from fleet.lane.store import DELETED, OFFSETS_KEY
from fleet.lane.stores import MemoryStore
from fleet.lane.transaction import Transactor
from fleet.lane.versions import Version, changelog_of, moved_to

if TYPE_CHECKING:
    from fleet.lane.agent import LaneAgent
    from fleet.lane.host import LaneHost
    from fleet.lane.topics import Position

Convert: TypeAlias = Callable[[str, Any], Any]
"""From (key, row) of the old version to the new row, or None to leave the row out."""

Row: TypeAlias = tuple[str, bytes, bytes | None]
Offsets: TypeAlias = dict[TopicPartition, int]

TRIES = 5
ROWS_IN_ONE = 5_000
BYTES_IN_ONE = 4 << 20


@dataclass(frozen=True, slots=True)
class Migration:
    """One agent's way from one version to the version of the code at hand.

    Attributes:
        host: The new version's lane, not running.
        agent: The agent.
        origin: The version to leave.
        convert: By table name, what changes its rows on the way.
    """

    host: LaneHost
    agent: LaneAgent
    origin: Version
    convert: Mapping[str, Convert]

    async def left_to_do(self) -> list[int]:
        """Return the partitions that have not been moved yet.

        Raises:
            FatalError: Another version than these two has one, or both have worked on it.
        """
        counts = await self.host.topics.require(self.agent.sources, by=f"agent {self.agent.name}")
        partitions = range(same_partitions(self.agent.name, counts))
        return [number for number in partitions if not await self._is_done(number)]

    async def _is_done(self, partition: int) -> bool:
        target, name = self.host.version, f"{self.agent.name}/{partition}"
        old = (await self._positions(self.origin, partition)).values()
        new = (await self._positions(target, partition)).values()
        left_for = {moved_to(position) for position in old if position is not None}
        worked_on = any(position is not None and moved_to(position) is None for position in new)
        if others := left_for - {None, target.number}:
            message = f"{name}: version {self.origin.number} was left for version {others.pop()}"
            raise FatalError(message, hint="migrate from that one")
        if worked_on and None in left_for:
            message = f"{name}: versions {self.origin.number} and {target.number} have both worked on it"
            raise FatalError(message, hint="there is no way to join them: choose one, and delete the other")
        return worked_on

    async def _positions(self, version: Version, partition: int) -> dict[TopicPartition, Position | None]:
        sources = [TopicPartition(topic, partition) for topic in self.agent.sources]
        return await self.host.topics.positions(version.group, sources)

    async def move(self, partition: int) -> int:
        """Move one partition, whose owner in either version is fenced; return its rows.

        Raises:
            FatalError: It is done already, its offsets and state do not agree, a row cannot be
                changed, or workers take it back.
            Lost: Kafka did not confirm a step; do it again.
        """
        name = f"{self.agent.name}/{partition}"
        for _ in range(TRIES):
            try:
                return await self._try(partition, name)
            except Fenced:
                # Before the mark was there, its worker took it back; it cannot do so again at once.
                continue
        raise FatalError(f"workers take {name} back", hint="stop those of the old version, and try again")

    async def _try(self, partition: int, name: str) -> int:
        await self._refuse_done(partition, name)
        version = self.host.version
        transactor = Transactor(
            self.host.config, version.group, version.transactional_id(self.agent.name, partition)
        )
        try:
            await transactor.fence()
            stood = await self._positions(self.origin, partition)
            known = {tp: position.offset for tp, position in stood.items() if position is not None}
            # First of all: from here on no worker of the old version takes the partition back.
            await self._note(transactor, known, version.moved_here)
            await self._refuse_done(partition, name)
            return await self._moved(transactor, partition, known)
        finally:
            transactor.discard()

    async def _refuse_done(self, partition: int, name: str) -> None:
        if await self._is_done(partition):
            message = f"{name} is in version {self.host.version.number} already"
            raise FatalError(message, hint="nothing is to be done")

    async def _moved(self, transactor: Transactor, partition: int, known: Offsets) -> int:
        try:
            rows, offsets = await self._read(partition, known)
        except FatalError:
            await self._note(transactor, known, "")
            raise
        unread = {tp: offset for tp, offset in offsets.items() if tp not in known}
        await self._note(transactor, unread, self.host.version.moved_here)
        await self._write(transactor, partition, rows, offsets)
        return sum(value is not None for _, _, value in rows)

    async def _note(self, transactor: Transactor, offsets: Offsets, mark: str) -> None:
        if offsets:
            marked = {tp: OffsetAndMetadata(offset, mark) for tp, offset in offsets.items()}
            await transactor.commit(Batches(), marked, group=self.origin.group)

    async def _read(self, partition: int, known: Offsets) -> tuple[list[Row], Offsets]:
        """Return what the new changelogs lack or have too much, and where to go on in each source."""
        sources = [TopicPartition(topic, partition) for topic in self.agent.sources]
        old, new = (
            await self._stores(self.origin, partition),
            await self._stores(self.host.version, partition),
        )
        for table, store in old.items():
            for tp in sources:
                if store.offsets.get(tp.topic) != known.get(tp):
                    where = f"{tp.topic}/{tp.partition}"
                    message = (
                        f"version {self.origin.number}: table {table} stands at offset "
                        f"{store.offsets.get(tp.topic)} of {where}, the group at {known.get(tp)}"
                    )
                    raise FatalError(message, hint="run `eventfleet state adopt` in that version first")
        rows = [row for table in self.agent.tables for row in self._rows(table, old.get(table), new[table])]
        async with open_reader(self.host.config) as reader:
            begins = await reader.beginning_offsets(sources)
        return rows, {tp: known.get(tp, begins[tp]) for tp in sources}

    async def _stores(self, version: Version, partition: int) -> dict[str, MemoryStore]:
        """Return the tables of a version, without those that it does not have."""
        topics = {table: changelog_of(self.host, table, version) for table in self.agent.tables}
        known = self.host.topics
        await known.ensure(topics.values())
        found = {table: topic for table, topic in topics.items() if known.get(topic) is not None}
        counts = await known.require([self.agent.sources[0], *found.values()], by=f"agent {self.agent.name}")
        same_partitions(self.agent.name, counts)
        stores = {table: MemoryStore() for table in found}
        if found:
            async with open_reader(self.host.config) as reader:
                await load(
                    reader,
                    {TopicPartition(topic, partition): stores[table] for table, topic in found.items()},
                )
        return stores

    def _rows(self, table: str, old: MemoryStore | None, new: MemoryStore) -> Iterator[Row]:
        topic = self.host.changelog(table)
        info = self.host.topics.get(topic)
        if info is None:
            raise FatalError(f"topic {topic} does not exist", hint="run the migration again")
        wanted = dict(self._converted(table, old))
        try:
            for key, row in wanted.items():
                yield topic, *changelog_row(table, key, row, info)
            # What a move that was not finished has left.
            for key in {key for key, _ in new.items()} - wanted.keys():
                yield topic, *changelog_row(table, key, DELETED, info)
        except PermanentError as error:
            raise FatalError(error.message, hint=error.hint) from error

    def _converted(self, table: str, old: MemoryStore | None) -> Iterator[tuple[str, Any]]:
        convert = self.convert.get(table)
        for key, row in old.items() if old is not None else ():
            try:
                changed = row if convert is None else convert(key, row)
            except Exception as error:
                message = f"table {table}: migrate fails on the row of {key!r} ({type(error).__name__})"
                raise FatalError(message, hint="mend it, and run the migration again") from error
            if changed is not None:
                yield key, changed

    async def _write(self, transactor: Transactor, partition: int, rows: list[Row], offsets: Offsets) -> None:
        """Write the rows, in transactions of bounded size; the last one says where they stand."""
        batches, count, size = Batches(), 0, 0
        for topic, key, value in rows:
            if count >= ROWS_IN_ONE or size >= BYTES_IN_ONE:
                batches.close()
                await transactor.commit(batches, {})
                batches, count, size = Batches(), 0, 0
            self._add(batches, topic, partition, key, value)
            count, size = count + 1, size + len(key) + len(value or b"")
        stands_at = orjson.dumps({tp.topic: offset for tp, offset in offsets.items()})
        for table in self.agent.tables:
            self._add(batches, self.host.changelog(table), partition, OFFSETS_KEY, stands_at)
        batches.close()
        await transactor.commit(batches, offsets)

    def _add(self, batches: Batches, topic: str, partition: int, key: bytes, value: bytes | None) -> None:
        if (info := self.host.topics.get(topic)) is not None:
            batches.add(topic, info, partition, key, value)
