"""State of one task: committed tables, and the view a chunk stages its changes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sortedcontainers import SortedSet

_MISSING: Final = object()


class TableState:
    """The committed rows of one table partition, in memory, ordered by key on demand."""

    def __init__(self, rows: dict[str, Any] | None = None) -> None:
        self.rows: dict[str, Any] = {} if rows is None else rows
        self._ordered: SortedSet | None = None

    def scan(self, start: str, stop: str) -> Iterator[str]:
        """Yield the keys of the half-open range [start, stop) in order."""
        if self._ordered is None:
            self._ordered = SortedSet(self.rows)
        return iter(self._ordered.irange(start, stop, inclusive=(True, False)))

    def apply(self, staged: Mapping[str, Any]) -> None:
        """Make staged rows the committed ones; `DELETED` removes."""
        rows, ordered = self.rows, self._ordered
        for key, value in staged.items():
            if value is DELETED:
                if rows.pop(key, _MISSING) is not _MISSING and ordered is not None:
                    ordered.discard(key)
            else:
                if ordered is not None and key not in rows:
                    ordered.add(key)
                rows[key] = value


DELETED: Final = object()
"""Staged in place of a value for a row that the chunk removes."""


class State:
    """What an agent's function may read: its tables with the chunk's own writes on top, and config.

    Attributes:
        partition: Partition of the task.
        config: The immutable configuration snapshot of this chunk.
    """

    def __init__(self, tables: Mapping[str, TableState], partition: int, config: Any = None) -> None:
        self._tables = tables
        self.staged: dict[str, dict[str, Any]] = {name: {} for name in tables}
        self.partition = partition
        self.config = config

    def get(self, table: str, key: str, default: Any = None) -> Any:
        """Return the row of `key`, as this chunk has left it so far, or `default`."""
        value = self.staged[table].get(key, _MISSING)
        if value is _MISSING:
            return self._tables[table].rows.get(key, default)
        return default if value is DELETED else value

    def scan(self, table: str, start: str, stop: str) -> Iterator[tuple[str, Any]]:
        """Yield (key, row) of [start, stop) in key order, the chunk's own writes included.

        Rows may be put or deleted while the scan goes on; it shows them as they were at its start.
        """
        staged = self.staged[table]
        keys = set(self._tables[table].scan(start, stop))
        keys.update(key for key in staged if start <= key < stop)
        for key in sorted(keys):
            value = self.get(table, key, DELETED)
            if value is not DELETED:
                yield key, value
