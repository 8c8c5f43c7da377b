"""Compares what an aggregation gave with what it has to give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.aggregate_batch import Cell, Missed, Question, Row
from tests.support.aggregate_functions import Asked


def differences(
    functions: Sequence[Asked], given: Mapping[Cell, Row], right: Mapping[Cell, Row]
) -> list[str]:
    """Return what is missing, too much, or not right, a line each; nothing where all agree."""
    found = [f"{cell}: missing" for cell in right.keys() - given.keys()]
    found += [f"{cell}: too much" for cell in given.keys() - right.keys()]
    for cell in right.keys() & given.keys():
        found += [
            f"{cell}: {each.name}: {_short(given[cell][each.name])}, not {_short(right[cell][each.name])}"
            for each in functions
            if not each.agrees(given[cell][each.name], right[cell][each.name])
        ]
    return sorted(found)


def _short(value: Any) -> str:
    return f"{value!r:.200}"


def finals(question: Question, results: Iterable[Mapping[str, Any]]) -> dict[Cell, Row]:
    """Return the finals among results, as they are read from a topic; each window of a group has one."""
    found: dict[Cell, Row] = {}
    for each in results:
        if each["final"]:
            cell = cell_of(question, each)
            assert cell not in found, f"{cell} has two finals"
            found[cell] = dict(each)
    return found


def newest(question: Question, results: Iterable[Mapping[str, Any]]) -> dict[Cell, Row]:
    """Return the last result of each group and window."""
    return {cell_of(question, each): dict(each) for each in results}


def cell_of(question: Question, result: Mapping[str, Any]) -> Cell:
    """Return the group and window of a result."""
    group = tuple(result[name] for name in question.groups)
    return Cell(group, epoch_ms(result["window_start"]), epoch_ms(result["window_end"]))


def missed(place: tuple[str, int], offset: int, headers: Mapping[str, bytes]) -> list[Missed]:
    """Return the windows that a record of the late topic says that it missed."""
    assert headers["fleet_late_reason"] == b"after_close", headers
    starts = [each.split("/")[0] for each in headers["fleet_late_windows"].decode().split(",")]
    times = (datetime.fromisoformat(start) for start in starts)
    return [Missed(*place, offset, epoch_ms(time) or 0) for time in times]


def epoch_ms(time: datetime | None) -> int | None:
    """Return a time in epoch milliseconds."""
    return None if time is None else (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
