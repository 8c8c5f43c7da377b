"""A lane table as Faust sees it: listed, served over HTTP, written by the lane alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from faust.tables.manager import TableManager
from faust.tables.table import Table

from fleet.lane.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator

    from fleet.lane.store import Store
    from fleet.lane.stores import StoreKind

_MISSING: Final = object()


class LaneTable(Table[str, Any]):
    """A Faust table whose rows live in the lane's tasks.

    Keys are text, values JSON-serialisable. The changelog is written in the agent's own
    transactions and loaded by the lane, never by Faust's recovery, which does not end on a
    transactional changelog (engine trap 3).

    Args:
        route_by: Gives the part of a row's key that its source records are partitioned by;
            the whole key by default.
        partition_by: Gives the partition of a row outright, for rows about a partition.
        store_kind: Where its rows are kept.
        migrate: Gives the row of a key from that of the version before, or None to leave it out;
            rows go over as they are by default.
    """

    app: Any  # the LaneApp, which imports this module

    def __init__(
        self,
        app: Any,
        *,
        route_by: Callable[[str], str] | None = None,
        partition_by: Callable[[str], int] | None = None,
        store_kind: StoreKind = "memory",
        migrate: Callable[[str, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(app, **kwargs)
        self._route_by = route_by
        self._partition_by = partition_by
        self.store_kind = store_kind
        self.migrate = migrate

    def partition_of(self, key: str, partitions: int) -> int:
        """Return the partition, of `partitions`, that holds the row of `key`.

        Raises:
            KeyError: No partition can hold such a key.
        """
        if self._partition_by is None:
            return partition_of((key if self._route_by is None else self._route_by(key)).encode(), partitions)
        try:
            partition = self._partition_by(key)
        except ValueError:
            raise KeyError(key) from None
        if not 0 <= partition < partitions:
            raise KeyError(key)
        return partition

    async def on_start(self) -> None:
        """Start nothing: the lane creates the changelog and loads the rows."""

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: tasks acquire their own state."""

    def state_of(self, key: str) -> Store | None:
        """Return the loaded partition that holds `key`, or None where this worker has it not."""
        partitions = self.app.lane.table_partitions(self.name)
        if not partitions:
            return None
        try:
            partition = self.partition_of(key, partitions)
        except KeyError:
            return None
        found: Store | None = self.app.lane.host.partition_state(self.name, partition)
        return found

    def __getitem__(self, key: str) -> Any:
        """Return a committed row of this worker.

        Raises:
            KeyError: No such row here.
        """
        state = self.state_of(key)
        row = _MISSING if state is None else state.get(key, _MISSING)
        if row is _MISSING:
            raise KeyError(key)
        return row

    def __contains__(self, key: object) -> bool:
        state = self.state_of(str(key))
        return state is not None and key in state

    async def committed_rows(self, partitions: Collection[int]) -> AsyncIterator[tuple[str, Any]]:
        """Yield (key, row) of those `partitions` that this worker has, for views of a whole table.

        The event loop goes on meanwhile, however large the table is (see `Store.slices`).
        """
        owned: dict[int, Store] = self.app.lane.host.owned(self.name)
        for partition, state in owned.items():
            if partition in partitions:
                for rows in state.slices():
                    for row in rows:
                        yield row
                    await asyncio.sleep(0)

    def __iter__(self) -> Iterator[str]:
        for state in self.app.lane.host.owned(self.name).values():
            yield from (key for key, _ in state.items())

    def __len__(self) -> int:
        owned: dict[int, Store] = self.app.lane.host.owned(self.name)
        return sum(len(state) for state in owned.values())

    def __setitem__(self, key: str, value: Any) -> NoReturn:
        self._refuse()

    def __delitem__(self, key: str) -> NoReturn:
        self._refuse()

    def using_window(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse Faust's windows: they close by the wall clock, and on one partition alone."""
        message = f"table {self.name} has no windows of Faust: keep the window's start in the row's key"
        raise TypeError(message)

    tumbling = hopping = using_window

    def _refuse(self) -> NoReturn:
        message = f"table {self.name} is written by its agent's effects only: yield Put or Delete"
        raise TypeError(message)


class _WithoutLaneTables:
    """A table manager as Faust's own recovery is to see it."""

    def __init__(self, manager: TableManager) -> None:
        self._manager = manager

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    def values(self) -> list[Any]:
        """Return Faust's own tables."""
        return [table for table in self._manager.values() if not isinstance(table, LaneTable)]


class LaneTableManager(TableManager):
    """Keeps lane tables, active and standby, out of Faust's subscription and recovery."""

    async def _update_channels(self) -> None:
        # Queries go on meanwhile: the tables must not be gone from the manager itself.
        faust_only = cast("TableManager", _WithoutLaneTables(self))
        await TableManager._update_channels(faust_only)  # noqa: SLF001 - this very method, of the base

    @property
    def changelog_topics(self) -> set[str]:
        """Return the changelog topics that Faust itself reads."""
        return {topic for topic, table in self._changelogs.items() if not isinstance(table, LaneTable)}
