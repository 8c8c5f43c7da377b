"""Questions about groups that are named."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.aggregator.domain.windowing.window import Window
from agents.aggregator.queries.answers import Found
from agents.aggregator.queries.cursors import Cursor
from agents.aggregator.queries.questions import KEYS, Answer, Question
from agents.aggregator.queries.reading import (
    ALWAYS,
    Span,
    latest_of_group,
    place,
    rows_of_group,
)
from agents.aggregator.queries.results import unpacked
from fleet.lane.partitioner import partition_of

if TYPE_CHECKING:
    from agents.aggregator.domain.rows import Row
    from agents.aggregator.queries.holding import Holding
    from agents.aggregator.queries.spread import Part


@dataclass(frozen=True)
class OfGroups(Question):
    """Rows of groups that are named.

    Attributes:
        groups: The groups.
        partitions: Partitions that groups are spread over.
        span: Where their windows begin.
        latest: Whether only the newest window is wanted.
        limit: Rows of each group at most.
        after: Key of a window: only those after it are wanted.
    """

    groups: Collection[str]
    partitions: int
    span: Span = ALWAYS
    latest: bool = False
    limit: int = 100
    after: str = ""

    async def of(self, holding: Holding) -> Part:
        """Return the rows of those groups that are here; a group without any row is not in it."""
        watermark_ms = holding.watermark_ms(self.target.id)
        found: dict[str, list[Any]] = {}
        own = {group for group in self.groups if self.partition_of(group) == holding.partition}
        for group in own:
            rows = self._rows(holding, group)
            if rows or self._is_there(holding, group):
                found[group] = [self._packed(group, *row, watermark_ms) for row in rows]
            await asyncio.sleep(0)
        return {"watermark_ms": watermark_ms, "groups": found}

    def partition_of(self, group: str) -> int:
        """Return the partition that holds a group."""
        return partition_of(group.encode(), self.partitions)

    def needed(self) -> set[int]:
        """Return the partitions that hold the groups."""
        return set(map(self.partition_of, self.groups))

    def _rows(self, holding: Holding, group: str) -> list[tuple[Window, Row]]:
        if self.latest:
            newest = latest_of_group(holding.rows, self.target.id, group)
            return [] if newest is None or not self.span.holds(newest[0]) else [newest]
        return rows_of_group(
            holding.rows, self.target.id, group, self.span, after=self.after, limit=self.limit + 1
        )

    def _is_there(self, holding: Holding, group: str) -> bool:
        return bool(rows_of_group(holding.rows, self.target.id, group, limit=1))

    def by_group(self, parts: Sequence[Part]) -> dict[str, list[Any]]:
        """Return the rows of each group that is there, one more than wanted where there are more.

        Raises:
            TransientError: One is missing in a copy that lags.
        """
        found = {group: rows for part in parts for group, rows in part["groups"].items()}
        absent = [group for group in self.groups if group not in found]
        if absent and any(part["lag"] for part in parts):
            raise self._absent(self.target.shown(absent[0]), parts)
        return found


@dataclass(frozen=True)
class OfGroup(OfGroups):
    """Rows of one group, in pages."""

    def answer(self, parts: Sequence[Part]) -> Answer:
        """See `Question.answer`."""
        (group,) = self.groups
        found = self.by_group(parts)
        if group not in found:
            raise self._absent(self.target.shown(group), parts)
        rows = found[group]
        shown = [unpacked(self.target, row) for row in rows[: self.limit]]
        if len(rows) <= self.limit or self.latest:
            return Answer(shown)
        _, start_ms, end_ms, *_ = rows[self.limit - 1]
        after = place(self.target.id, Window(start_ms, end_ms), "")[:-1]
        return Answer(shown, next=Cursor(KEYS, self.target.number, after))


@dataclass(frozen=True)
class OfSeveral(OfGroups):
    """Rows of several groups, each answered with its rows, or as missing."""

    def answer(self, parts: Sequence[Part]) -> Answer:
        """See `Question.answer`."""
        found = self.by_group(parts)
        keys = []
        rows: list[Found] = []
        for group in self.groups:
            key = self.target.parts.shown(group)
            if group not in found:
                keys.append({"key": key, "missing": True})
                continue
            shown = [unpacked(self.target, row) for row in found[group][: self.limit]]
            rows += shown
            more = len(found[group]) > self.limit
            keys.append({"key": key, "rows": [row.shown() for row in shown], "more": more})
        return Answer(rows, {"keys": keys})
