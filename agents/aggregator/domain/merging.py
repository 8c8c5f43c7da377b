"""Shares of chunks merged into rows: of each row once, however many shares of a chunk are its.

A share is late if its window has closed by the watermark then, whether or not that was acted upon yet: so
results are the same however messages are cut into chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import orjson

from agents.aggregator.domain.functions import State
from agents.aggregator.domain.messages import Partial, Share
from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.quotas import Share as Quota
from agents.aggregator.domain.rows import ROWS, Progress, Row, group_prefix, window_key
from agents.aggregator.domain.windowing import Window
from agents.aggregator.domain.windowing.window import MIN_MS

MAX_ROW_BYTES: Final = 512 << 10
"""Size of a row's key and states; what would make a row larger is refused."""
ROW_TOO_LARGE: Final = "row_too_large"

Groups = dict[str, list[Share]]


class Tables(Protocol):
    """Reading access to the agent's tables."""

    def get(self, table: str, key: str, default: Any = None) -> Any:
        """Return a row or `default`."""

    def scan(self, table: str, start: str, stop: str | None) -> Iterator[tuple[str, Any]]:
        """Yield the rows of [start, stop) in key order."""


class Cell:
    """A row while a chunk is merged.

    Attributes:
        group: Its group.
        window: Its window.
        closes_ms: Watermark from which on it is closed.
        row: What is in the table, or will be; None while there is none.
        is_new: Whether the table has no such row.
        is_changed: Whether the table has another.
    """

    __slots__ = ("closes_ms", "group", "is_changed", "is_new", "row", "window")

    def __init__(self, group: str, window: Window, closes_ms: int, row: Row | None) -> None:
        self.group = group
        self.window = window
        self.closes_ms = closes_ms
        self.row = row
        self.is_new = row is None
        self.is_changed = False


class Left(NamedTuple):
    """What of a partial was not merged.

    Attributes:
        late: Shares whose window has closed.
        too_large: Shares that would have made a row too large.
    """

    late: Groups
    too_large: Groups


class Known(NamedTuple):
    """A window that shares of a chunk are of."""

    window: Window
    key: str
    closes_ms: int


class Merging:
    """One build in one chunk.

    Args:
        build: The build.
        progress: How far it has got; changed as shares are merged.
        tables: The tables as they were before the chunk.
        quota: What it may keep.

    Attributes:
        cells: Rows that were looked at, by key.
        removed: Rows of the table that were joined to others, by key.
    """

    def __init__(self, build: Compiled, progress: Progress, tables: Tables, quota: Quota) -> None:
        self.build = build
        self.progress = progress
        self.cells: dict[str, Cell] = {}
        self.removed: dict[str, Cell] = {}
        self._tables = tables
        self._quota = quota
        self._windows: dict[tuple[int, int], Known] = {}
        self._merges = [function.merge for function in build.functions]

    @property
    def changed(self) -> Mapping[str, Cell]:
        """Rows that are to be put, by key."""
        return {key: cell for key, cell in self.cells.items() if cell.is_changed}

    @property
    def reached_ms(self) -> int:
        """The watermark, as a number in any case."""
        return MIN_MS if self.progress.watermark_ms is None else self.progress.watermark_ms

    def merge(self, partial: Partial) -> Left:
        """Merge the shares of a partial; return those that cannot be."""
        left = Left({}, {})
        windows, reached = self._windows, self.reached_ms
        for group, shares in partial.groups.items():
            prefix = group_prefix(self.build.id, group)
            for share in shares:
                known = windows.get((share[0], share[1])) or self._known(share[0], share[1])
                if known.closes_ms <= reached:
                    left.late.setdefault(group, []).append(share)
                elif not self._take(group, prefix, known, share):
                    left.too_large.setdefault(group, []).append(share)
        return left

    def _known(self, start_ms: int, end_ms: int) -> Known:
        window = Window(start_ms, end_ms)
        known = Known(window, window_key(window), self.build.windows.closes_at(window))
        self._windows[start_ms, end_ms] = known
        return known

    def _take(self, group: str, prefix: str, known: Known, share: Share) -> bool:
        """Merge a share into its row; return whether that can be kept."""
        key = prefix + known.key
        cell = self.cells.get(key)
        if cell is None:
            found = self._tables.get(ROWS, key)
            row = None if found is None else Row.of(found)
            cell = self.cells[key] = Cell(group, known.window, known.closes_ms, row)
        if cell.row is None and self._is_refused(share):
            return True
        return self._put(key, cell, () if cell.row is None else (cell.row,), share)

    def _is_refused(self, share: Share) -> bool:
        """Return whether a share would make a key over the quota; it is then counted."""
        progress = self.progress
        progress.over_quota = self._quota.is_used_up(progress)
        if progress.over_quota:
            progress.refused += share[2]
            progress.problem = "over quota: events of new keys are not counted"
        return progress.over_quota

    def _put(self, key: str, cell: Cell, rows: Sequence[Row], share: Share) -> bool:
        """Put rows and a share together as one row; return whether that can be kept."""
        _, _, events, states = share
        told_ms = due_ms = size_before = 0
        for row in rows:
            states = self._merged(row.states, states)
            events += row.events
            size_before += row.size_bytes
            told_ms = max(told_ms, row.told_ms)
            if row is cell.row:
                due_ms = row.due_ms
        size = len(key.encode()) + len(orjson.dumps(states))
        if size > MAX_ROW_BYTES:
            self.progress.refused += share[2]
            self.progress.problem = f"a row would have {size} bytes; it may have {MAX_ROW_BYTES}"
            return False
        cell.row = Row(events, states, size, told_ms, due_ms)
        cell.is_changed = True
        self.progress.keys += 1 - len(rows)
        self.progress.size_bytes += size - size_before
        return True

    def _merged(self, one: Sequence[State], other: Sequence[State]) -> list[State]:
        return [merge(a, b) for merge, a, b in zip(self._merges, one, other, strict=True)]
