"""Questions about windows, over all partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.aggregator.domain.windowing.window import MAX_MS, MIN_MS, Window
from agents.aggregator.queries.answers import window_shown
from agents.aggregator.queries.cursors import Cursor
from agents.aggregator.queries.questions import WINDOW, WINDOWS, Answer, Question
from agents.aggregator.queries.ranking import Ranking
from agents.aggregator.queries.reading import (
    ALWAYS,
    Span,
    groups_of_window,
    place,
    row_of,
    windows_of,
)
from agents.aggregator.queries.results import is_closed, result_of, unpacked, watermark_of

if TYPE_CHECKING:
    from agents.aggregator.domain.rows import Row
    from agents.aggregator.queries.holding import Holding
    from agents.aggregator.queries.spread import Part
    from agents.aggregator.queries.targets import Target


@dataclass(frozen=True)
class OfWindows(Question):
    """Which windows have rows.

    Attributes:
        span: Where they begin.
        limit: How many at most.
        after: Key of a window: only those after it are wanted.
    """

    span: Span = ALWAYS
    limit: int = 100
    after: str = ""

    async def of(self, holding: Holding) -> Part:
        """Return the windows that have rows here."""
        watermark_ms = holding.watermark_ms(self.target.id)
        found: list[Window] = []
        for windows in windows_of(holding.index, self.target.id, self.span, after=self.after):
            found += windows
            if len(found) > self.limit:
                break
            await asyncio.sleep(0)
        return {"watermark_ms": watermark_ms, "windows": [*map(list, found[: self.limit + 1])]}

    def answer(self, parts: Sequence[Part]) -> Answer:
        """See `Question.answer`."""
        watermark_ms = watermark_of(parts)
        every = {Window(*each) for part in parts for each in part["windows"]}
        found = sorted(every, key=lambda window: (window.end_ms, window.start_ms))
        shown = [shown_window(self.target, window, watermark_ms) for window in found[: self.limit]]
        after = None
        if len(found) > self.limit:
            last = place(self.target.id, found[self.limit - 1], "")[:-1]
            after = Cursor(WINDOWS, self.target.number, last)
        return Answer(more={"windows": shown}, next=after)


@dataclass(frozen=True)
class OfWindow(Question):
    """All groups of a window, in pages.

    Attributes:
        start_ms: When it begins.
        window: The window; None for all that begin then.
        limit: How many rows at most.
        after: Key in the index: only rows after it are wanted.
    """

    start_ms: int
    window: Window | None
    limit: int = 100
    after: str = ""

    async def of(self, holding: Holding) -> Part:
        """Return the first rows here."""
        watermark_ms = holding.watermark_ms(self.target.id)
        found: list[list[Any]] = []
        index, build = holding.index, self.target.id
        for groups in groups_of_window(index, build, self.start_ms, self.window, after=self.after):
            for window, group in groups:
                row = row_of(holding.rows, build, group, window)
                if row is not None and len(found) <= self.limit:
                    found.append(self._packed(group, window, row, watermark_ms))
            if len(found) > self.limit:
                break
            await asyncio.sleep(0)
        return {"watermark_ms": watermark_ms, "rows": found}

    def answer(self, parts: Sequence[Part]) -> Answer:
        """See `Question.answer`."""
        found = sorted((row for part in parts for row in part["rows"]), key=lambda row: (row[2], row[0]))
        if not found and not self.after:
            raise self._absent(self.target.window_shown(self.start_ms), parts)
        rows = [unpacked(self.target, row) for row in found[: self.limit]]
        after = None
        if len(found) > self.limit:
            group, start_ms, end_ms, *_ = found[self.limit - 1]
            last = place(self.target.id, Window(start_ms, end_ms), group)
            after = Cursor(f"{WINDOW} {self.start_ms}", self.target.number, last)
        more = (
            {}
            if self.window is None
            else {"window": shown_window(self.target, self.window, watermark_of(parts))}
        )
        return Answer(rows, more, after)


@dataclass(frozen=True)
class OfTop(Question):
    """The groups of a window with the greatest, or the least, result.

    Attributes:
        start_ms: When it begins.
        window: The window; None for all that begin then.
        ranking: Which result, and which way.
        most: How many rows.
    """

    start_ms: int
    window: Window | None
    ranking: Ranking
    most: int = 10

    async def of(self, holding: Holding) -> Part:
        """Return the first rows here, of all that are in the window."""
        watermark_ms = holding.watermark_ms(self.target.id)
        index, build = holding.index, self.target.id
        best: list[tuple[Any, Any, Any]] = []
        for groups in groups_of_window(index, build, self.start_ms, self.window):
            rows = [(window, group, row_of(holding.rows, build, group, window)) for window, group in groups]
            best += [
                (self._key(row), (group, *window), row) for window, group, row in rows if row is not None
            ]
            best = self.ranking.best(best, self.most)
            await asyncio.sleep(0)
        packed_rows = [
            self._packed(group, Window(start_ms, end_ms), row, watermark_ms)
            for _, (group, start_ms, end_ms), row in best
        ]
        return {"watermark_ms": watermark_ms, "rows": packed_rows}

    def _key(self, row: Row) -> Any:
        place_of = self.ranking.place
        return self.ranking.key(result_of(self.target.compiled.functions[place_of], row.states[place_of]))

    def answer(self, parts: Sequence[Part]) -> Answer:
        """See `Question.answer`."""
        rows = [row for part in parts for row in part["rows"]]
        if not rows:
            raise self._absent(self.target.window_shown(self.start_ms), parts)
        keyed = [(self.ranking.key(row[4][self.ranking.name]), tuple(row[:3]), row) for row in rows]
        best = self.ranking.best(keyed, self.most)
        more = (
            {}
            if self.window is None
            else {"window": shown_window(self.target, self.window, watermark_of(parts))}
        )
        return Answer([unpacked(self.target, row) for _, _, row in best], more)


def shown_window(target: Target, window: Window, watermark_ms: int | None) -> dict[str, Any]:
    """Return a window as an answer has it."""
    closed = is_closed(target.compiled, window, watermark_ms)
    if window == Window(MIN_MS, MAX_MS):
        return window_shown(None, None, closed=closed)
    return window_shown(*window, closed=closed)
