"""From a row of the tables to what an answer has of it, also on its way between workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agents.aggregator.domain.functions import ResultTooLargeError
from agents.aggregator.domain.windowing.window import ALL_TIME, MAX_MS, Window
from agents.aggregator.queries.answers import Found, plain

if TYPE_CHECKING:
    from agents.aggregator.domain.functions import Function
    from agents.aggregator.domain.plan import Compiled
    from agents.aggregator.domain.rows import Row
    from agents.aggregator.queries.spread import Part
    from agents.aggregator.queries.targets import Target


def is_closed(compiled: Compiled, window: Window, watermark_ms: int | None) -> bool:
    """Return whether nothing of a window changes any more."""
    closes_at_ms = compiled.windows.closes_at(window)
    return watermark_ms is not None and closes_at_ms < MAX_MS and closes_at_ms <= watermark_ms


def result_of(function: Function, state: Any) -> Any:
    """Return one result as JSON values; None too where it has more digits than a result may have."""
    try:
        return plain(function.result(state))
    except ResultTooLargeError:
        return None


def _is_too_large(function: Function, state: Any) -> bool:
    try:
        function.result(state)
    except ResultTooLargeError:
        return True
    return False


def packed(compiled: Compiled, group: str, window: Window, row: Row, watermark_ms: int | None) -> list[Any]:
    """Return a row as JSON values, for the worker that asked."""
    pairs = list(zip(compiled.functions, row.states, strict=True))
    values = {function.name: result_of(function, state) for function, state in pairs}
    absent = [function for function, state in pairs if values[function.name] is None and state is not None]
    too_large = [
        function.name for function, state in pairs if function in absent and _is_too_large(function, state)
    ]
    return [group, *window, is_closed(compiled, window, watermark_ms), values, too_large]


def unpacked(target: Target, row: Sequence[Any]) -> Found:
    """Return a row that `packed` made."""
    group, start_ms, end_ms, closed, values, too_large = row
    if (start_ms, end_ms) == ALL_TIME:
        start_ms = end_ms = None
    return Found(target.parts.shown(group), start_ms, end_ms, closed, values, too_large)


def watermark_of(parts: Sequence[Part]) -> int | None:
    """Return the watermark that holds for all parts."""
    marks = [part["watermark_ms"] for part in parts]
    return None if None in marks else min(marks, default=None)


def as_of(parts: Sequence[Part]) -> int | None:
    """Return since when all parts may be stale."""
    return min((part["as_of_ms"] for part in parts if part["as_of_ms"] is not None), default=None)
