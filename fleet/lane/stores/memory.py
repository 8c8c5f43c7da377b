"""A table partition in memory: as fast as a dict, loaded whole from the changelog at each acquire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sortedcontainers import SortedSet

from fleet.lane.store import DELETED, OFFSETS_KEY, SLICE_ROWS, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from fleet.lane.errors import StoreError

_MISSING: Final = object()


class MemoryStore:
    """A `Store` in a dict; keys are put in order at the first scan.

    Args:
        rows: Rows to begin with.
        offsets: Source offsets that they stand at.
    """

    def __init__(
        self, rows: Mapping[str, Any] | None = None, offsets: Mapping[str, int] | None = None
    ) -> None:
        self.position: int | None = None
        self.offsets: Mapping[str, int] = offsets or {}
        self.current_ms: int | None = None
        self.failure: StoreError | None = None
        self._rows: dict[str, Any] = dict(rows or {})
        self._ordered: SortedSet | None = None
        # The dict's own method: agents read row by row.
        self.get: Callable[..., Any] = self._rows.get

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def items(self) -> Iterator[tuple[str, Any]]:
        """See `Store.items`."""
        return iter(list(self._rows.items()))

    def slices(self) -> Iterator[list[tuple[str, Any]]]:
        """See `Store.slices`."""
        rows = list(self._rows.items())
        return (rows[at : at + SLICE_ROWS] for at in range(0, len(rows), SLICE_ROWS))

    def scan(self, start: str, stop: str | None) -> Iterator[tuple[str, Any]]:
        """See `Store.scan`."""
        if self._ordered is None:
            self._ordered = SortedSet(self._rows)
        rows = self._rows
        keys = self._ordered.irange(start, stop, inclusive=(True, False))
        return ((key, rows[key]) for key in keys)

    def apply(self, rows: Mapping[str, Any], offsets: Mapping[str, int], position: int | None) -> None:
        """See `Store.apply`."""
        kept, ordered = self._rows, self._ordered
        for key, value in rows.items():
            if value is DELETED:
                if kept.pop(key, _MISSING) is not _MISSING and ordered is not None:
                    ordered.discard(key)
            else:
                if ordered is not None and key not in kept:
                    ordered.add(key)
                kept[key] = value
        self.offsets = offsets
        if position is not None:
            self.position = position
        self.current_ms = now_ms()

    def replay(self, records: Iterable[Any], position: int, current_ms: int | None = None) -> None:
        """See `Store.replay`."""
        rows, loads = self._rows, orjson.loads
        for record in records:
            key, value = record.key, record.value
            if key == OFFSETS_KEY:
                self.offsets = loads(value)
            elif value is None:
                rows.pop(key.decode(), None)
            else:
                rows[key.decode()] = loads(value)
        self._ordered = None
        self.position = position
        self.current_ms = current_ms or self.current_ms

    def clear(self) -> None:
        """See `Store.clear`."""
        self._rows.clear()
        self._ordered, self.position, self.current_ms, self.offsets = None, None, None, {}

    def close(self) -> None:
        """Nothing to let go of."""
