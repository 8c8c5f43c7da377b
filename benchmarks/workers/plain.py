"""What one would write by hand for the cases: for the engines that are no more than a client in Python."""

from __future__ import annotations

import copy
import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import parse_schema, schemaless_reader

from benchmarks.rules import outputs_by
from benchmarks.workers.aggregation import Comparison, Window
from benchmarks.workers.job import ROUTE_ATTRIBUTES, Job

_WIRE_HEADER_BYTES = 5

Headers = Sequence[tuple[str, bytes]]
Route = Callable[[bytes, Headers], list[tuple[str, bytes]]]


def router(job: Job) -> Route:
    """Return the function from value and headers of an event to the topics and rules of its outputs."""
    return _by_attributes(job) if job.case == ROUTE_ATTRIBUTES else _by_fields(job)


def _by_attributes(job: Job) -> Route:
    names = {f"ce_{test.path}" for rule in job.rules for test in rule.tests}
    outputs = outputs_by(job.rules)

    def route(value: bytes, headers: Headers) -> list[tuple[str, bytes]]:
        del value
        read = {name[3:]: content.decode() for name, content in headers if name in names}
        return outputs(read.__getitem__)

    return route


def _by_fields(job: Job) -> Route:
    paths = {test.path for rule in job.rules for test in rule.tests}
    read, outputs = claims(json.loads(Path(job.schema_path).read_bytes()), paths), outputs_by(job.rules)

    def route(value: bytes, headers: Headers) -> list[tuple[str, bytes]]:
        del headers
        claim = read(value)
        return outputs(lambda path: field(claim, path))

    return route


def claims(schema: Mapping[str, Any], paths: Iterable[str]) -> Callable[[bytes], Any]:
    """Return what decodes the fields of a claim at `paths`: the reader's schema has no others."""
    names = {path.split(".")[0] for path in paths}
    wanted = {**schema, "fields": [each for each in schema["fields"] if each["name"] in names]}
    writer: Any = parse_schema(copy.deepcopy(dict(schema)))
    reader: Any = parse_schema(copy.deepcopy(wanted))

    def read(value: bytes) -> Any:
        stream = BytesIO(value)
        stream.seek(_WIRE_HEADER_BYTES)
        return schemaless_reader(stream, writer, reader)

    return read


def field(claim: Any, path: str) -> Any:
    """Return the field of a claim at a path, e.g. ``payer.id``."""
    for name in path.split("."):
        claim = claim[name]
    return claim


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">=": operator.ge,
    "startsWith": str.startswith,
}


def holds(read: Callable[[str], Any], tests: Iterable[Comparison]) -> bool:
    """Return whether all `tests` hold of the values that `read` gives by their paths."""
    return all(_OPERATORS[test.operator](read(test.path), test.value) for test in tests)


class Clock:
    """The greatest event time seen, by which windows close."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.watermark_ms = 0

    def open(self, event_time_ms: int) -> list[int]:
        """Return the starts of the windows that the event goes into; none where it is late for all."""
        self.watermark_ms = max(self.watermark_ms, event_time_ms)
        closed_ms = self.watermark_ms - self._window.size_ms - self._window.grace_ms
        return [start for start in self._window.starts(event_time_ms) if start > closed_ms]
