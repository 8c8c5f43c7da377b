"""Reading the tables of one partition: rows of a group, windows, rows of a window; pure, over stores.

What may be long comes in slices, and nothing is held open between two of them: rows may be applied meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents.aggregator.domain.rows import (
    Row,
    build_prefix,
    group_prefix,
    index_key,
    parse_index_key,
    parse_row_key,
    row_key,
    window_prefix,
)
from agents.aggregator.domain.windowing.window import MAX_MS, MIN_MS, Window, time_key
from fleet.lane.store import SLICE_ROWS, after_prefix

if TYPE_CHECKING:
    from agents.aggregator.domain.windowing import Windows
    from fleet.lane.store import Store

_NEXT: Final = "\x00"


class Span(NamedTuple):
    """Windows that begin in [from_ms, to_ms)."""

    from_ms: int = MIN_MS
    to_ms: int = MAX_MS

    def holds(self, window: Window) -> bool:
        """Return whether a window begins in it."""
        return self.from_ms <= window.start_ms < self.to_ms

    @property
    def first_end(self) -> str:
        """How the keys of windows begin, of which the first can be in it: they have the end first."""
        return time_key(min(self.from_ms, MAX_MS - 1) + 1)


ALWAYS: Final = Span()


def rows_of_group(
    rows: Store, build: str, group: str, span: Span = ALWAYS, *, after: str = "", limit: int
) -> list[tuple[Window, Row]]:
    """Return the rows of a group in order of time, at most `limit`.

    Args:
        rows: The table of rows.
        build: Id of the build.
        group: The group.
        span: Where their windows begin.
        after: Key of a window: only those after it are wanted.
        limit: How many at most.
    """
    prefix = group_prefix(build, group)
    start = f"{prefix}{after}{_NEXT}" if after else f"{prefix}{span.first_end}"
    found: list[tuple[Window, Row]] = []
    for key, value in rows.scan(start, after_prefix(prefix)):
        window = parse_row_key(key).window
        # Windows of one group begin in the order in which they end.
        if len(found) == limit or window.start_ms >= span.to_ms:
            break
        if span.holds(window):
            found.append((window, Row.of(value)))
    return found


def latest_of_group(rows: Store, build: str, group: str) -> tuple[Window, Row] | None:
    """Return the newest row of a group, found by halving time: a store is read forwards only."""
    prefix = group_prefix(build, group)
    stop = after_prefix(prefix)
    newest = _first(rows, prefix, stop)
    if newest is None:
        return None
    low, high = parse_row_key(newest[0]).window.end_ms, MAX_MS
    while low < high:
        middle = (low + high + 1) // 2
        later = _first(rows, f"{prefix}{time_key(middle)}", stop)
        if later is None:
            high = middle - 1
        else:
            newest = later
            low = parse_row_key(later[0]).window.end_ms
    return parse_row_key(newest[0]).window, Row.of(newest[1])


def window_at(windows: Windows, start_ms: int) -> Window | None:
    """Return the one window that begins at a time, where windows are cut by the clock."""
    return next((each for each in windows.windows_of(start_ms) if each.start_ms == start_ms), None)


def windows_of(index: Store, build: str, span: Span = ALWAYS, *, after: str = "") -> Iterator[list[Window]]:
    """Yield the windows that have rows, in slices, in the order of their ends and then of their starts.

    Args:
        index: The index of windows.
        build: Id of the build.
        span: Where they begin.
        after: Key of a window: only those after it are wanted.
    """
    prefix = build_prefix(build)
    stop = after_prefix(prefix)
    start: str | None = f"{prefix}{span.first_end}"
    if after:
        start = after_prefix(f"{prefix}{after}|")
    while start is not None:
        found = []
        for _ in range(SLICE_ROWS):
            first = None if start is None else _first(index, start, stop)
            if first is None:
                start = None
                break
            window = parse_index_key(first[0]).window
            if span.holds(window):
                found.append(window)
            start = after_prefix(window_prefix(build, window))
        yield found


def groups_of_window(
    index: Store, build: str, start_ms: int, window: Window | None, *, after: str = ""
) -> Iterator[list[tuple[Window, str]]]:
    """Yield the groups that have a row in a window, in slices, in the order of ends and then of groups.

    Args:
        index: The index of windows.
        build: Id of the build.
        start_ms: When the window begins.
        window: The window; None for all that begin then, as sessions do that end at different times.
        after: A key of the index without the build: only those after it are wanted.
    """
    start = f"{build_prefix(build)}{after}{_NEXT}" if after else ""
    if window is None:
        yield from _groups_by_start(index, build, start_ms, start)
        return
    prefix = window_prefix(build, window)
    for keys in _slices(index, max(prefix, start), after_prefix(prefix)):
        yield [(window, key[len(prefix) :]) for key in keys]


def _groups_by_start(
    index: Store, build: str, start_ms: int, start: str
) -> Iterator[list[tuple[Window, str]]]:
    prefix = build_prefix(build)
    at = start or f"{prefix}{Span(start_ms).first_end}"
    stop = after_prefix(prefix)
    while True:
        found: list[tuple[Window, str]] = []
        for _ in range(SLICE_ROWS):
            first = _first(index, at, stop)
            if first is None:
                yield found
                return
            _, group, window = parse_index_key(first[0])
            if window.start_ms == start_ms:
                found.append((window, group))
                at = f"{first[0]}{_NEXT}"
            else:
                # On to the next end at which one can be that begins then.
                end_ms = window.end_ms + (window.start_ms > start_ms)
                at = window_prefix(build, Window(start_ms, end_ms))
        yield found


def row_of(rows: Store, build: str, group: str, window: Window) -> Row | None:
    """Return the row of a group in a window; None where it is gone by now."""
    value = rows.get(row_key(build, group, window))
    return None if value is None else Row.of(value)


def place(build: str, window: Window, group: str) -> str:
    """Return the key of a row in the index without the build."""
    return index_key(build, window, group)[len(build_prefix(build)) :]


def _first(store: Store, start: str, stop: str | None) -> tuple[str, Any] | None:
    return next(iter(store.scan(start, stop)), None)


def _slices(store: Store, start: str, stop: str | None) -> Iterator[list[str]]:
    while True:
        keys = [key for key, _ in islice(store.scan(start, stop), SLICE_ROWS)]
        yield keys
        if len(keys) < SLICE_ROWS:
            return
        start = f"{keys[-1]}{_NEXT}"
