"""The aggregation cases of quix-streams: each aggregation re-keys what it takes and windows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quixstreams.models.serializers import Deserializer

from benchmarks.workers.aggregation import CHARGE, EVENT_TIME, Aggregation
from benchmarks.workers.job import Job
from benchmarks.workers.plain import claims, field, holds

RETENTION_MS = 24 * 60 * 60 * 1000
"""It deletes a window when its grace ends, and the rows are to be kept: so the grace is this long."""

_FUNCTIONS: Mapping[
    str, tuple[Callable[[int], int], Callable[[int, int], int], Callable[[int, int], int]]
] = {
    "count": (lambda _: 1, lambda row, _: row + 1, lambda one, other: one + other),
    "sum": (lambda cents: cents, lambda row, cents: row + cents, lambda one, other: one + other),
    "min": (lambda cents: cents, min, min),
    "max": (lambda cents: cents, max, max),
}
"""First value, value with one more event, and two values merged."""


class Claims(Deserializer):  # type: ignore[misc] # the library has no types here
    """Decodes those fields of a claim that are used; event time as milliseconds."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        schema = json.loads(Path(job.schema_path).read_bytes())
        for each in schema["fields"]:
            if each["name"] == EVENT_TIME:
                each["type"] = "long"
        paths = [path for each in job.aggregations for path in each.group]
        paths += [test.path for each in job.aggregations for test in each.tests]
        self._read = claims(schema, [*paths, CHARGE, EVENT_TIME])

    def __call__(self, value: bytes, ctx: Any) -> Any:  # noqa: ARG002 - the name is the library's
        """Return the fields."""
        return self._read(value)


def declare(app: Any, job: Job) -> None:
    """Declare all aggregations of the job."""

    def at(claim: Any, _headers: Any, _time_ms: int, _kind: Any) -> int:
        time_ms: int = claim[EVENT_TIME]
        return time_ms

    frame = app.dataframe(app.topic(job.source, value_deserializer=Claims(job), timestamp_extractor=at))
    for aggregation in job.aggregations:
        _aggregate(frame, aggregation)


def _aggregate(frame: Any, aggregation: Aggregation) -> None:
    """Re-key group and charge alone, and aggregate them by window."""
    if aggregation.tests:
        frame = frame.filter(lambda claim: holds(lambda path: field(claim, path), aggregation.tests))
    charges = frame.apply(lambda claim: [_group(claim, aggregation), int(claim[CHARGE].scaleb(2))])
    by_group = charges.group_by(
        lambda charge: charge[0], name=aggregation.name, key_serializer="str", key_deserializer="bytes"
    )
    functions = [_FUNCTIONS[name] for name in aggregation.functions]

    def first(charge: Any) -> list[int]:
        return [function[0](charge[1]) for function in functions]

    def add(row: list[int], charge: Any) -> list[int]:
        return [function[1](value, charge[1]) for function, value in zip(functions, row, strict=True)]

    def merge(one: list[int], other: list[int]) -> list[int]:
        return [function[2](*pair) for function, *pair in zip(functions, one, other, strict=True)]

    windows = _windows(by_group, aggregation)
    windows.reduce(reducer=add, initializer=first, merger=merge).final(closing_strategy="partition")


def _group(claim: Any, aggregation: Aggregation) -> str:
    return "|".join(field(claim, path) for path in aggregation.group)


def _windows(frame: Any, aggregation: Aggregation) -> Any:
    options = {"grace_ms": RETENTION_MS, "name": aggregation.name}
    window = aggregation.window
    if window is None:
        gap_ms = aggregation.session.gap_ms if aggregation.session else 0
        return frame.session_window(inactivity_gap_ms=gap_ms - 1, **options)  # Its gap includes its bound.
    if window.advance_ms == window.size_ms:
        return frame.tumbling_window(duration_ms=window.size_ms, **options)
    return frame.hopping_window(duration_ms=window.size_ms, step_ms=window.advance_ms, **options)
