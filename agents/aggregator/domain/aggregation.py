"""Claims and charges per group and event-time window, with late events and finals.

Lateness is decided event by event, by the running maximum of event time of the source
partition in log order, and finals are driven by records alone. So the result is the same
however the log is cut into chunks, and whenever a worker crashes (engine traps 11, 21, 22).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from agents.aggregator.domain.windows import (
    DAY_MS,
    HOUR_MS,
    Window,
    due_key,
    parse_row_key,
    row_key,
    windows_of,
)

ROWS: Final = "windows"
OPEN: Final = "open-windows"
PROGRESS: Final = "progress"
WATERMARK: Final = "watermark"
OPEN_MARK: Final = "open"
CLOSED_MARK: Final = "closed"


class Fact(NamedTuple):
    """What the aggregation needs of an event.

    Attributes:
        group: Group key, e.g. the billing provider's NPI.
        event_time_ms: Event time, epoch milliseconds.
        charges: Amount, exact.
    """

    group: str
    event_time_ms: int
    charges: Decimal


class Result(NamedTuple):
    """A result to publish: the running one of a window, or its one final.

    Event number `position` of the input led to it: for a final the one that moved the watermark,
    wherever the log is cut into chunks.
    """

    group: str
    window: Window
    row: dict[str, Any]
    watermark_ms: int
    final: bool
    position: int


class Late(NamedTuple):
    """An event that came after its window's final: number `position` of the input."""

    position: int
    window: Window


class Tables(Protocol):
    """Reading access to the agent's tables, the chunk's own writes included."""

    def get(self, table: str, key: str, default: Any = None) -> Any:
        """Return a row or `default`."""

    def scan(self, table: str, start: str, stop: str) -> Iterator[tuple[str, Any]]:
        """Yield the rows of [start, stop) in key order."""


class Write(NamedTuple):
    """A row to put, or with None to delete."""

    table: str
    key: str
    row: Any


Outcome = Write | Result | Late


@dataclass(frozen=True, kw_only=True, slots=True)
class Aggregation:
    """Limits of the aggregation.

    Attributes:
        name: Name of the definition.
        grace_ms: How long after its end a window waits for late events, in event time.
        retention_ms: How long after its end a final window stays readable, in event time.
        max_closings: At most so many windows are closed after one event; the rest follow.
    """

    name: str = "claims-by-provider"
    grace_ms: int = 7 * DAY_MS
    retention_ms: int = 18_250 * DAY_MS
    max_closings: int = 2000

    def apply(self, facts: list[Fact | None], tables: Tables, partition: int) -> Iterator[Outcome]:
        """Yield what follows from `facts`, in log order; None stands for an event set aside.

        Writes are yielded before anything that reads them, so a caller that applies them
        to `tables` at once gives the function its own view.
        """
        progress_key = f"{partition}/{WATERMARK}"
        progress = tables.get(PROGRESS, progress_key) or {"watermark": -1, "behind": False}
        watermark_ms, behind = progress["watermark"], progress["behind"]
        touched: dict[str, Window] = {}
        for index, fact in enumerate(facts):
            if fact is None:
                continue
            for window in windows_of(fact.event_time_ms):
                if window.end_ms + self.grace_ms <= watermark_ms:
                    yield from self._late(fact, window, index, tables)
                else:
                    yield from self._add(fact, window, tables, touched)
            before_ms, watermark_ms = watermark_ms, max(watermark_ms, fact.event_time_ms)
            if behind or self._passes_due(before_ms, watermark_ms):
                due = self._due(tables, watermark_ms)
                behind = len(due) == self.max_closings
                yield from self._close(due, tables, watermark_ms, touched, index)
        reached = {"watermark": watermark_ms, "behind": behind}
        if reached != progress:
            yield Write(PROGRESS, progress_key, reached)
        for key, window in touched.items():
            group, _ = parse_row_key(key)
            row = tables.get(ROWS, key)
            yield Result(group, window, row, watermark_ms, final=False, position=len(facts) - 1)

    def _passes_due(self, before_ms: int, after_ms: int) -> bool:
        """Return whether anything can fall due between two watermarks: windows end on whole hours."""
        return any(
            (before_ms - wait_ms) // HOUR_MS != (after_ms - wait_ms) // HOUR_MS
            for wait_ms in (self.grace_ms, self.grace_ms + self.retention_ms)
        )

    def _due(self, tables: Tables, watermark_ms: int) -> list[tuple[str, Any]]:
        return list(islice(tables.scan(OPEN, "", due_key(watermark_ms + 1, "")), self.max_closings))

    def _add(
        self, fact: Fact, window: Window, tables: Tables, touched: dict[str, Window]
    ) -> Iterator[Outcome]:
        key = row_key(fact.group, window)
        row = tables.get(ROWS, key)
        if row is None:
            row = {"claims": 0, "charges": "0", "final": False, "late": 0}
            yield Write(OPEN, due_key(window.end_ms + self.grace_ms, key), OPEN_MARK)
        charges = str(Decimal(row["charges"]) + fact.charges)
        yield Write(ROWS, key, {**row, "claims": row["claims"] + 1, "charges": charges})
        touched[key] = window

    def _late(self, fact: Fact, window: Window, index: int, tables: Tables) -> Iterator[Outcome]:
        key = row_key(fact.group, window)
        row = tables.get(ROWS, key)
        if row is not None:
            yield Write(ROWS, key, {**row, "late": row["late"] + 1})
        yield Late(index, window)

    def _close(
        self,
        due: list[tuple[str, Any]],
        tables: Tables,
        watermark_ms: int,
        touched: dict[str, Window],
        index: int,
    ) -> Iterator[Outcome]:
        for due_at, mark in due:
            key = due_at.split("|", 1)[1]
            yield Write(OPEN, due_at, None)
            if mark == CLOSED_MARK:
                yield Write(ROWS, key, None)
                continue
            group, window = parse_row_key(key)
            row = {**tables.get(ROWS, key), "final": True}
            touched.pop(key, None)
            yield Write(ROWS, key, row)
            yield Write(OPEN, due_key(window.end_ms + self.grace_ms + self.retention_ms, key), CLOSED_MARK)
            yield Result(group, window, row, watermark_ms, final=True, position=index)
