"""The order of results, by one field of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tables.errors import InvalidInputError

if TYPE_CHECKING:
    from agents.aggregator.domain.functions import Function

_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Ranking:
    """Orders results; those that have none in the field come last, ties go by group.

    Args:
        functions: The functions of the build.
        by: Field of the result, ``claims``; of one with fields of its own one of them, ``latency.p99``.
        descending: Whether the greatest comes first.

    Raises:
        InvalidInputError: There is no such field, or its values have no order.
    """

    def __init__(self, functions: tuple[Function, ...], by: str, *, descending: bool) -> None:
        name, _, self._inner = by.partition(".")
        fields = {each.spec.name: each.avro() for each in functions}
        if name not in fields:
            raise _refused(by, f"no field {by!r}", f"its fields: {', '.join(fields)}")
        self._key = _key_of(by, fields[name], self._inner)
        self.place = next(at for at, each in enumerate(functions) if each.spec.name == name)
        self.name = name
        self._descending = descending

    def key(self, value: Any) -> Any:
        """Return what a result is ordered by, as `plain` gives it; None for nothing."""
        if self._inner:
            value = None if value is None else value[self._inner]
        key = None if value is None else self._key(value)
        return None if isinstance(key, float) and math.isnan(key) else key

    def best(self, rows: list[tuple[Any, Any, Any]], most: int) -> list[tuple[Any, Any, Any]]:
        """Return the first `most` rows of (key, tie, whatever)."""
        ranked = [row for row in rows if row[0] is not None]
        ranked.sort(key=lambda row: row[1])
        # Stable, reversed too: ties stay as they are.
        ranked.sort(key=lambda row: row[0], reverse=self._descending)
        if len(ranked) < most:
            ranked += sorted((row for row in rows if row[0] is None), key=lambda row: row[1])
        return ranked[:most]


def _key_of(by: str, schema: Any, inner: str) -> Callable[[Any], Any]:
    if isinstance(schema, Mapping) and schema["type"] == "record":
        fields = {each["name"]: each["type"] for each in schema["fields"]}
        names = ", ".join(f"{by.partition('.')[0]}.{name}" for name in fields)
        if inner not in fields:
            raise _refused(by, f"{by!r} is not one value", f"one of {names}")
        schema = fields[inner]
    elif inner:
        raise _refused(by, f"no field {by!r}", f"write {by.partition('.')[0]}")
    branches = schema if isinstance(schema, list) else [schema]
    (plain,) = [branch for branch in branches if branch != "null"]
    if not isinstance(plain, Mapping):
        return _number if plain == "double" else _itself
    if plain.get("logicalType") == "decimal":
        return Decimal
    if plain.get("logicalType", "").startswith("timestamp"):
        return datetime.fromisoformat
    raise _refused(by, f"{by!r} is a list, which has no order", "rank by another field")


def _itself(value: Any) -> Any:
    return value


def _number(value: Any) -> float:
    return _NOT_FINITE[value] if isinstance(value, str) else value


def _refused(by: str, what: str, hint: str) -> InvalidInputError:
    del by
    return InvalidInputError(f"by: {what}", field="by", hint=hint)
