"""From a row to a result: the parts of its group, its window, and what each function gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from weakref import WeakKeyDictionary

import orjson

from agents.aggregator.domain.functions import State
from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.rows import Row, RowKey
from agents.aggregator.domain.windowing import ALL_TIME
from fleet.errors import PermanentError
from schemas.codec import Codec

NO_SCHEMA: Final = "no_schema"

_Read = Callable[[Any], Any]


def group_parts(build: Compiled, group: str) -> dict[str, Any]:
    """Return the parts of a group by name, as `agents.aggregator.domain.groups` writes them."""
    return dict(zip(build.build.group_by, orjson.loads(group), strict=True))


def values_of(build: Compiled, states: Sequence[State]) -> dict[str, Any]:
    """Return what each function gives, by its name, of the types that `Function.avro` says.

    Raises:
        ResultTooLargeError: One has more digits than its schema can hold.
    """
    functions = zip(build.functions, states, strict=True)
    return {function.name: function.result(state) for function, state in functions}


class Results:
    """Results of builds, in the schemas that were derived of them.

    Args:
        codec: Knows the schemas; its `ensure` was awaited for `schemas_of` the builds.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._readers: WeakKeyDictionary[Compiled, Mapping[str, _Read]] = WeakKeyDictionary()

    def value(
        self, build: Compiled, key: RowKey, row: Row, watermark_ms: int | None, *, final: bool
    ) -> dict[str, Any]:
        """Return a result in the types that its schema wants.

        Args:
            build: The build.
            key: Group and window.
            row: Row of it.
            watermark_ms: The watermark that it says.
            final: Whether the window has closed.

        Raises:
            ResultTooLargeError: One has more digits than its schema can hold.
            PermanentError: The build has no schema, or one that cannot be used.
            TransientError: Nobody looked its schema up yet.
        """
        window = None if key.window == ALL_TIME else key.window
        return {
            **self.typed_parts(build, key.group),
            "window_start": window and window.start_ms,
            "window_end": window and window.end_ms,
            **values_of(build, row.states),
            "final": final,
            "watermark": watermark_ms,
            "build": build.build.number,
        }

    def encoded(
        self, build: Compiled, key: RowKey, row: Row, watermark_ms: int | None, *, final: bool
    ) -> bytes:
        """Return a result as it is written; see `value`.

        Raises:
            PermanentError: As `value`, or the value does not match the schema.
            TransientError: Nobody looked the schema up yet.
        """
        value = self.value(build, key, row, watermark_ms, final=final)
        return self._codec.encode_as(schema_of(build), value)

    def typed_parts(self, build: Compiled, group: str) -> dict[str, Any]:
        """Return the parts of a group by name, in the types of the schema of the build's results.

        Raises:
            PermanentError: The build has no schema, or one that cannot be used.
            TransientError: Nobody looked its schema up yet.
        """
        readers = self._readers.get(build)
        if readers is None:
            fields = {each["name"]: each["type"] for each in self._codec.schema(schema_of(build))["fields"]}
            readers = {name: _reader(fields[name]) for name in build.build.group_by}
            self._readers[build] = readers
        parts = zip(readers.items(), orjson.loads(group), strict=True)
        return {name: None if part is None else read(part) for (name, read), part in parts}


def schema_of(build: Compiled) -> int:
    """Return the id of the schema of a build's results.

    Raises:
        PermanentError: It has none.
    """
    if build.build.output_schema is None:
        message = f"build {build.id} has no schema of its results"
        raise PermanentError(message, reason=NO_SCHEMA, hint="write the aggregation again")
    return build.build.output_schema


def _reader(schema: Any) -> _Read:
    """Return what reads a part of a group that is not null; `schema` is that of its field."""
    chosen: Any = next(each for each in schema if each != "null") if isinstance(schema, list) else schema
    if not isinstance(chosen, dict):
        return _READERS.get(chosen, _as_it_is)
    return _READERS.get(chosen.get("logicalType") or chosen["type"], _as_it_is)


def _as_it_is(part: Any) -> Any:
    return part


_READERS: Final[Mapping[str, _Read]] = {
    "decimal": Decimal,
    "timestamp-micros": datetime.fromisoformat,
    "bytes": bytes.fromhex,
}
