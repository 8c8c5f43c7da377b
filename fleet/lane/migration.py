"""Moving an agent's offsets and state from one version of its app to another, partition by partition.

An interrupted move is done again from its start; what the old version holds is only marked as
left (docs/adr/0008-versions-and-migration.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from fleet.errors import FatalError
from fleet.lane.batches import Batches
from fleet.lane.context import same_partitions
from fleet.lane.errors import Fenced
from fleet.lane.moved_rows import Convert, MovedRows, scratch_stores
from fleet.lane.reading import open_reader
from fleet.lane.transaction import Transactor
from fleet.lane.versions import Version, moved_to

if TYPE_CHECKING:
    from fleet.lane.agent import LaneAgent
    from fleet.lane.host import LaneHost
    from fleet.lane.topics import Position

Offsets: TypeAlias = dict[TopicPartition, int]

TRIES = 5


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
        async with self._rows(partition) as rows:
            try:
                offsets = await self._offsets(partition, rows, known)
                count = await rows.check()
            except FatalError:
                await self._note(transactor, known, "")
                raise
            unread = {tp: offset for tp, offset in offsets.items() if tp not in known}
            await self._note(transactor, unread, self.host.version.moved_here)
            await rows.write(transactor, offsets)
        return count

    async def _note(self, transactor: Transactor, offsets: Offsets, mark: str) -> None:
        if offsets:
            marked = {tp: OffsetAndMetadata(offset, mark) for tp, offset in offsets.items()}
            await transactor.commit(Batches(), marked, group=self.origin.group)

    @asynccontextmanager
    async def _rows(self, partition: int) -> AsyncIterator[MovedRows]:
        """Give the rows of both versions, on disk meanwhile: they may be more than memory holds."""
        host, agent = self.host, self.agent
        with host.stores.scratch() as scratch, ExitStack() as opened:
            old = await scratch_stores(host, agent, self.origin, partition, scratch, opened)
            new = await scratch_stores(host, agent, host.version, partition, scratch, opened)
            yield MovedRows(host, agent, partition, old, new, self.convert)

    async def _offsets(self, partition: int, rows: MovedRows, known: Offsets) -> Offsets:
        """Return where to go on in each source; refuse state that stands elsewhere than the group."""
        sources = [TopicPartition(topic, partition) for topic in self.agent.sources]
        for table, store in rows.old.items():
            for tp in sources:
                if store.offsets.get(tp.topic) != known.get(tp):
                    where = f"{tp.topic}/{tp.partition}"
                    message = (
                        f"version {self.origin.number}: table {table} stands at offset "
                        f"{store.offsets.get(tp.topic)} of {where}, the group at {known.get(tp)}"
                    )
                    raise FatalError(message, hint="run `eventfleet state adopt` in that version first")
        async with open_reader(self.host.config) as reader:
            begins = await reader.beginning_offsets(sources)
        return {tp: known.get(tp, begins[tp]) for tp in sources}
