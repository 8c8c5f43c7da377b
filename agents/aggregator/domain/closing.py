"""Windows that close and rows that expire, so many at a time, in the order of the index.

What a window is at a moment follows from the watermark alone: one that has closed is not merged into, and its
row not rewritten, even where its final is still to be written.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from agents.aggregator.domain.merging import Tables
from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.rows import (
    INDEX,
    ROWS,
    Progress,
    Row,
    RowKey,
    build_end,
    build_prefix,
    parse_index_key,
    parse_row_key,
)
from agents.aggregator.domain.windowing import Window, time_key
from agents.aggregator.domain.windowing.window import MAX_MS, MIN_MS


class Found(NamedTuple):
    """A row that has closed or expired.

    Attributes:
        key: Its group and window.
        row: The row.
    """

    key: RowKey
    row: Row


def close(build: Compiled, progress: Progress, tables: Tables, limit: int, *, finals: bool) -> list[Found]:
    """Return the rows that have closed since the last time, at most `limit`, and move the cursor after them.

    Args:
        build: The build.
        progress: How far it has got; sets `closed` and, where more have closed, `behind`.
        tables: The tables, what was merged included.
        limit: How many rows to look at.
        finals: Whether they are wanted; otherwise the cursor moves past all of them.
    """
    stop = _ended_by(build, progress, 0)
    if not finals:
        progress.closed = max(progress.closed, stop)
        return []
    keys = _keys(build, progress.closed, stop, tables, limit)
    progress.closed = _cursor(build, keys, progress.closed, stop, limit)
    progress.behind |= progress.closed < stop
    return _found(keys, tables)


def expire(build: Compiled, progress: Progress, tables: Tables, limit: int) -> list[Found]:
    """Return rows that were kept for as long as they are retained, at most `limit`, and move the cursor.

    They are to be deleted. None is of a window whose final is still to be written.

    Args:
        build: The build.
        progress: How far it has got; sets `expired`, what is kept, and where more are due `behind`.
        tables: The tables, what was merged included.
        limit: How many rows to look at.
    """
    stop = min(_ended_by(build, progress, build.definition.retention_ms), progress.closed)
    keys = _keys(build, progress.expired, stop, tables, limit)
    progress.expired = _cursor(build, keys, progress.expired, stop, limit)
    progress.behind |= progress.expired < stop
    found = _found(keys, tables)
    progress.keys -= len(found)
    progress.size_bytes -= sum(each.row.size_bytes for each in found)
    return found


def purge(build: str, progress: Progress, tables: Tables, limit: int) -> list[RowKey]:
    """Return rows of a build that is no more, at most `limit`, and move the cursor after them."""
    prefix = build_prefix(build)
    rows = tables.scan(ROWS, prefix + progress.purged, build_end(build))
    keys = [key for key, _ in islice(rows, limit)]
    if keys:
        progress.purged = f"{keys[-1].removeprefix(prefix)}\0"
    return [*map(parse_row_key, keys)]


def _found(keys: list[str], tables: Tables) -> list[Found]:
    return [Found(key, Row.of(tables.get(ROWS, key.in_rows))) for key in map(parse_index_key, keys)]


def _ended_by(build: Compiled, progress: Progress, after_ms: int) -> str:
    """Return what index keys come before of windows that closed `after_ms` before the watermark."""
    if progress.watermark_ms is None:
        return ""
    waits_ms = build.windows.closes_at(Window(0, 0)) + after_ms
    return time_key(max(MIN_MS, min(progress.watermark_ms - waits_ms + 1, MAX_MS)))


def _keys(build: Compiled, start: str, stop: str, tables: Tables, limit: int) -> list[str]:
    if start >= stop or limit <= 0:
        return []
    prefix = build_prefix(build.id)
    return [key for key, _ in islice(tables.scan(INDEX, prefix + start, prefix + stop), limit)]


def _cursor(build: Compiled, keys: list[str], start: str, stop: str, limit: int) -> str:
    """Return where to go on; it never goes back, were retention made longer."""
    if start >= stop or limit <= 0:
        return start
    if len(keys) == limit:
        return f"{keys[-1].removeprefix(build_prefix(build.id))}\0"
    return stop
