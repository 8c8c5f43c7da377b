"""State of one task as its agent reads it: committed rows with the chunk's own changes on top."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from fleet.lane.store import DELETED, after_prefix

if TYPE_CHECKING:
    from fleet.lane.store import Store

_MISSING: Final = object()


class State:
    """What an agent's function may read: its tables with the chunk's own writes on top, and config.

    Attributes:
        partition: Partition of the task.
        config: The immutable configuration snapshot of this chunk.
        now_ms: The chunk's one wall-clock time, epoch milliseconds.
    """

    def __init__(
        self, tables: Mapping[str, Store], partition: int, config: Any = None, now_ms: int = 0
    ) -> None:
        self._tables = tables
        self._committed = {name: store.get for name, store in tables.items()}
        self.staged: dict[str, dict[str, Any]] = {name: {} for name in tables}
        self.partition = partition
        self.config = config
        self.now_ms = now_ms

    def get(self, table: str, key: str, default: Any = None) -> Any:
        """Return the row of `key`, as this chunk has left it so far, or `default`."""
        value = self.staged[table].get(key, _MISSING)
        if value is _MISSING:
            return self._committed[table](key, default)
        return default if value is DELETED else value

    def committed(self, table: str) -> Store:
        """Return the rows of `table` as they were before this chunk."""
        return self._tables[table]

    def scan(self, table: str, start: str, stop: str | None) -> Iterator[tuple[str, Any]]:
        """Yield (key, row) of [start, stop) in key order, the chunk's own writes included.

        Rows may be put or deleted while the scan goes on; it shows them as they were at its start.
        Without a `stop` it goes to the last key.
        """
        staged = self.staged[table]
        own = [key for key in staged if start <= key and (stop is None or key < stop)]
        committed = self._tables[table].scan(start, stop)
        return _overlaid([(key, staged[key]) for key in sorted(own)], committed) if own else committed

    def prefix(self, table: str, prefix: str) -> Iterator[tuple[str, Any]]:
        """Yield what `scan` does, of all keys that begin with `prefix`."""
        return self.scan(table, prefix, after_prefix(prefix))


def _overlaid(
    own: Iterable[tuple[str, Any]], committed: Iterable[tuple[str, Any]]
) -> Iterator[tuple[str, Any]]:
    before = None
    # Of equal keys the merge gives that of the first input first.
    for key, value in heapq.merge(own, committed, key=itemgetter(0)):
        if key != before and value is not DELETED:
            yield key, value
        before = key
