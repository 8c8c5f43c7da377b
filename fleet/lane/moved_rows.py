"""The rows of one partition on their way from one version of an app to another, in bounded slices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError, PermanentError
from fleet.lane.batches import Batches
from fleet.lane.building import changelog_row
from fleet.lane.context import same_partitions
from fleet.lane.loader import load
from fleet.lane.reading import open_reader
from fleet.lane.store import DELETED, OFFSETS_KEY
from fleet.lane.versions import changelog_of

if TYPE_CHECKING:
    from contextlib import ExitStack

    from fleet.lane.agent import LaneAgent
    from fleet.lane.host import LaneHost
    from fleet.lane.store import Store
    from fleet.lane.stores import Stores
    from fleet.lane.topics import TopicInfo
    from fleet.lane.transaction import Transactor
    from fleet.lane.versions import Version

Convert: TypeAlias = Callable[[str, Any], Any]
"""From (key, row) of the old version to the new row, or None to leave the row out."""

ROWS_IN_ONE = 5_000
BYTES_IN_ONE = 4 << 20


@dataclass(frozen=True, slots=True)
class MovedRows:
    """What the tables of one partition hold in the old version, and what the new one has of it.

    Attributes:
        host: The new version's lane.
        agent: The agent.
        partition: The partition.
        old: By table, its rows in the old version; without tables that it does not have.
        new: By table, what a move that was not finished has left.
        convert: By table, what changes its rows on the way.
    """

    host: LaneHost
    agent: LaneAgent
    partition: int
    old: Mapping[str, Store]
    new: Mapping[str, Store]
    convert: Mapping[str, Convert]

    async def check(self) -> int:
        """Return how many rows the new version gets.

        Raises:
            FatalError: A row cannot be changed, or its changelog cannot hold it.
        """
        count = 0
        async for _, _, value in self.changes():
            count += value is not None
        return count

    async def write(self, transactor: Transactor, offsets: Mapping[TopicPartition, int]) -> None:
        """Write the rows, in transactions of bounded size; the last one says where they stand.

        Raises:
            Lost: Kafka did not confirm a transaction.
        """
        batches, count, size = Batches(), 0, 0
        async for table, key, value in self.changes():
            if count >= ROWS_IN_ONE or size >= BYTES_IN_ONE:
                batches.close()
                await transactor.commit(batches, {})
                batches, count, size = Batches(), 0, 0
            self._add(batches, table, key, value)
            count, size = count + 1, size + len(key) + len(value or b"")
        stands_at = orjson.dumps({tp.topic: offset for tp, offset in offsets.items()})
        for table in self.agent.tables:
            self._add(batches, table, OFFSETS_KEY, stands_at)
        batches.close()
        await transactor.commit(batches, offsets)

    def _add(self, batches: Batches, table: str, key: bytes, value: bytes | None) -> None:
        batches.add(self.host.changelog(table), self._info(table), self.partition, key, value)

    async def changes(self) -> AsyncIterator[tuple[str, bytes, bytes | None]]:
        """Yield (table, key, value) of what the new changelogs lack or have too much."""
        for table in self.agent.tables:
            info, old = self._info(table), self.old.get(table)
            try:
                if old is not None:
                    async for key, row in _all(old):
                        if (changed := self._converted(table, key, row)) is not None:
                            yield table, *changelog_row(table, key, changed, info)
                async for key, _ in _all(self.new[table]):
                    if self._is_gone(table, key):
                        yield table, *changelog_row(table, key, DELETED, info)
            except PermanentError as error:
                raise FatalError(error.message, hint=error.hint) from error

    def _is_gone(self, table: str, key: str) -> bool:
        """Whether a row that the new version has is none of what it gets."""
        old = self.old.get(table)
        row = DELETED if old is None else old.get(key, DELETED)
        return row is DELETED or self._converted(table, key, row) is None

    def _converted(self, table: str, key: str, row: Any) -> Any:
        convert = self.convert.get(table)
        try:
            return row if convert is None else convert(key, row)
        except Exception as error:
            message = f"table {table}: migrate fails on the row of {key!r} ({type(error).__name__})"
            raise FatalError(message, hint="mend it, and run the migration again") from error

    def _info(self, table: str) -> TopicInfo:
        topic = self.host.changelog(table)
        info = self.host.topics.get(topic)
        if info is None:
            raise FatalError(f"topic {topic} does not exist", hint="run the migration again")
        return info


async def _all(store: Store) -> AsyncIterator[tuple[str, Any]]:
    for rows in store.slices():
        for row in rows:
            yield row
        await asyncio.sleep(0)


async def scratch_stores(
    host: LaneHost, agent: LaneAgent, version: Version, partition: int, scratch: Stores, opened: ExitStack
) -> dict[str, Store]:
    """Return the agent's tables in a version, read to their ends, without those that it does not have.

    Args:
        host: The new version's lane.
        agent: The agent.
        version: The version.
        partition: The partition.
        scratch: Opens their stores.
        opened: Closes them in the end.

    Raises:
        FatalError: Their changelogs do not have as many partitions as the source.
        Lost: Kafka gives nothing more before the end of one.
    """
    topics = {table: changelog_of(host, table, version) for table in agent.tables}
    await host.topics.ensure(topics.values())
    found = {table: topic for table, topic in topics.items() if host.topics.get(topic) is not None}
    counts = await host.topics.require([agent.sources[0], *found.values()], by=f"agent {agent.name}")
    same_partitions(agent.name, counts)
    stores = {table: await scratch.open(topic, partition) for table, topic in found.items()}
    for store in stores.values():
        opened.callback(store.close)
    if stores:
        async with open_reader(host.config) as reader:
            changelogs = {TopicPartition(topic, partition): stores[table] for table, topic in found.items()}
            await load(reader, changelogs)
    return stores
