"""Sessions merged into rows: a share joins all open rows of its group that overlap it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from agents.aggregator.domain.merging import Cell, Known, Merging, Tables
from agents.aggregator.domain.messages import Share
from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.quotas import Share as Quota
from agents.aggregator.domain.rows import ROWS, Progress, Row, parse_row_key
from agents.aggregator.domain.windowing import Window, time_key
from agents.aggregator.domain.windowing.sessions import Sessions


@dataclass(slots=True)
class _Group:
    """What of a group's sessions was read: those that share a moment with `read`, and are open."""

    read: Window
    open: dict[str, Cell] = field(default_factory=dict)


class Joining(Merging):
    """`Merging` of a build whose windows are sessions.

    The rows that one is joined of are replaced by it. Open sessions of a group never overlap. A closed one is
    never joined: a share may overlap it only after a source was idle, and is then a session of its own.
    """

    def __init__(self, build: Compiled, progress: Progress, tables: Tables, quota: Quota) -> None:
        super().__init__(build, progress, tables, quota)
        self._groups: dict[str, _Group] = {}

    def _take(self, group: str, prefix: str, known: Known, share: Share) -> bool:
        sessions, reached = self._sessions(group, prefix, known.window), self.reached_ms
        joined = {
            key: cell
            for key, cell in sessions.items()
            if _overlap(cell.window, known.window) and cell.closes_ms > reached
        }
        if not joined and self._is_refused(share):
            return True
        windows = [known.window, *(cell.window for cell in joined.values())]
        start_ms, end_ms = min(each.start_ms for each in windows), max(each.end_ms for each in windows)
        whole = self._windows.get((start_ms, end_ms)) or self._known(start_ms, end_ms)
        key = prefix + whole.key
        cell = joined.get(key) or Cell(group, whole.window, whole.closes_ms, None)
        if not self._put(key, cell, [each.row for each in joined.values() if each.row is not None], share):
            return False
        for each in joined:
            if each != key:
                self._remove(sessions, each)
        sessions[key] = self.cells[key] = cell
        return True

    def _remove(self, sessions: dict[str, Cell], key: str) -> None:
        cell = self.cells.pop(key)
        del sessions[key]
        if not cell.is_new:
            self.removed[key] = cell

    def _sessions(self, group: str, prefix: str, window: Window) -> dict[str, Cell]:
        """Return the open sessions of a group, those at least that overlap `window`, by key."""
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = _Group(window)
        elif window.start_ms >= found.read.start_ms and window.end_ms <= found.read.end_ms:
            return found.open
        else:
            start_ms, end_ms = found.read
            found.read = Window(min(start_ms, window.start_ms), max(end_ms, window.end_ms))
        for key, cell in self._read(group, prefix, found.read):
            if key not in self.cells and key not in self.removed:
                found.open[key] = self.cells[key] = cell
        return found.open

    def _read(self, group: str, prefix: str, window: Window) -> Iterator[tuple[str, Cell]]:
        """Yield open sessions of the table that overlap `window`."""
        closes_at = self.build.windows.closes_at
        # The keys go by the end of windows; what comes after the prefix are digits up to f.
        for key, row in self._tables.scan(ROWS, prefix + time_key(window.start_ms + 1), f"{prefix}g"):
            found = parse_row_key(key).window
            closes_ms = closes_at(found)
            if closes_ms <= self.reached_ms:
                continue
            if found.start_ms >= window.end_ms:
                break
            yield key, Cell(group, found, closes_ms, Row.of(row))


def merging_of(build: Compiled, progress: Progress, tables: Tables, quota: Quota) -> Merging:
    """Return what merges shares of a build; see `Merging`."""
    kind = Joining if isinstance(build.windows, Sessions) else Merging
    return kind(build, progress, tables, quota)


def _overlap(one: Window, other: Window) -> bool:
    return one.start_ms < other.end_ms and other.start_ms < one.end_ms
