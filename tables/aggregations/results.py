"""What aggregate functions take and what they give, as types of the language and of Avro."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from fleet.cel.types import DYN, Kind, Type, decimal_of
from tables.aggregations.errors import AggregationError
from tables.aggregations.function import FunctionName, FunctionSpec
from tables.routes.schemas import MAX_PRECISION

NUMBERS: Final = frozenset({Kind.INT, Kind.UINT, Kind.DOUBLE, Kind.DECIMAL})
SCALARS: Final = NUMBERS | {Kind.BOOL, Kind.STRING, Kind.BYTES, Kind.TIMESTAMP}
MIN_AVERAGE_SCALE: Final = 6
"""Digits behind the point that the average of decimals has at least; half a unit rounds to even."""

_NUMERIC: Final = frozenset(
    {
        FunctionName.SUM,
        FunctionName.AVG,
        FunctionName.VARIANCE,
        FunctionName.VARIANCE_POP,
        FunctionName.QUANTILES,
    }
)
_WRITTEN: Final = re.compile(r"decimal\((?P<scale>\d{1,2})\)\Z", re.ASCII)
_PLAIN: Final = {
    Kind.BOOL: "boolean",
    Kind.INT: "long",
    Kind.UINT: "long",
    Kind.DOUBLE: "double",
    Kind.STRING: "string",
    Kind.BYTES: "bytes",
}


def written_type(argument: Type) -> str:
    """Return the type of an argument as a definition holds it."""
    scale = "" if argument.scale is None else f"({argument.scale})"
    return f"{argument.kind}{scale}"


def argument_type(spec: FunctionSpec) -> Type:
    """Return the type that a definition holds of the argument of a function.

    Raises:
        AggregationError: It holds none that the function can take.
    """
    if spec.function is FunctionName.COUNT:
        return DYN
    found = _WRITTEN.match(spec.type)
    if found:
        return _taken(spec, decimal_of(int(found["scale"])))
    if spec.type not in {str(kind) for kind in Kind}:
        raise AggregationError(
            f"type: {spec.type!r} is no type of an argument", field="type", hint="it is set by the platform"
        )
    return _taken(spec, Type(Kind(spec.type)))


def check_argument(spec: FunctionSpec, argument: Type) -> None:
    """Check that a function can take arguments of this type; null is left out by all of them.

    Raises:
        AggregationError: It cannot; says what would be right.
    """
    _taken(spec, argument)


def _taken(spec: FunctionSpec, argument: Type) -> Type:
    function, kind = spec.function, argument.kind
    if function is FunctionName.COUNT:
        return argument
    allowed = NUMBERS if function in _NUMERIC else SCALARS
    if kind is Kind.DYN:
        raise _wrong(spec, "its type is not known", "convert it, e.g. with string(x) or int(x)")
    if kind not in allowed:
        wanted = "a number" if allowed is NUMBERS else "a number, string, bytes, bool or timestamp"
        raise _wrong(spec, f"got {argument}", f"give {wanted}")
    if argument.kind is Kind.DECIMAL and (argument.scale is None or argument.scale > MAX_PRECISION):
        raise _wrong(spec, "its digits behind the point are not known", "write round(x, 2)")
    return argument


def _wrong(spec: FunctionSpec, what: str, hint: str) -> AggregationError:
    return AggregationError(f"of: {spec.function.value} of {spec.of}: {what}", field="of", hint=hint)


def result_schema(spec: FunctionSpec, argument: Type) -> Any:
    """Return the Avro schema of what a function gives for arguments of this type, null left out.

    A sum of integers is a decimal: it is exact, and never wraps. The average of decimals is a decimal with
    six digits behind the point or as many as the argument has; a variance is a double.
    """
    match spec.function:
        case FunctionName.COUNT | FunctionName.DISTINCT:
            found: Any = "long"
        case FunctionName.SUM:
            found = "double" if argument.kind is Kind.DOUBLE else _decimal(argument.scale or 0)
        case FunctionName.AVG:
            found = _decimal(average_scale(argument)) if argument.kind is Kind.DECIMAL else "double"
        case FunctionName.VARIANCE | FunctionName.VARIANCE_POP:
            found = "double"
        case FunctionName.QUANTILES:
            found = _record(spec, [_nullable(name, "double") for name in quantile_names(spec)])
        case FunctionName.COLLECT:
            values = {"type": "array", "items": scalar_schema(argument)}
            found = _record(spec, [_field("values", values), _field("dropped", "long")])
        case FunctionName.TOP_K:
            counted = [_field("value", scalar_schema(argument)), _field("count", "long")]
            item = {"type": "record", "name": f"{spec.name}_counted", "fields": counted}
            values = {"type": "array", "items": item}
            found = _record(spec, [_field("values", values), _field("error", "long")])
        case FunctionName.MIN | FunctionName.MAX | FunctionName.FIRST | FunctionName.LAST:
            found = scalar_schema(argument)
    return found


def scalar_schema(argument: Type) -> Any:
    """Return the Avro schema of one value of a type in `SCALARS`."""
    if argument.kind is Kind.DECIMAL:
        return _decimal(argument.scale or 0)
    if argument.kind is Kind.TIMESTAMP:
        return {"type": "long", "logicalType": "timestamp-micros"}
    return _PLAIN[argument.kind]


def average_scale(argument: Type) -> int:
    """Return how many digits behind the point the average of decimals of a type has."""
    return max(argument.scale or 0, MIN_AVERAGE_SCALE)


def quantile_names(spec: FunctionSpec) -> tuple[str, ...]:
    """Return the names of the quantiles in the result, e.g. ``p50`` and ``p99_9``."""
    percents = (format((Decimal(repr(each)) * 100).normalize(), "f") for each in spec.quantiles)
    return tuple(f"p{percent.replace('.', '_')}" for percent in percents)


def _decimal(scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": MAX_PRECISION, "scale": scale}


def _record(spec: FunctionSpec, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": f"{spec.name}_{spec.function.value}", "fields": fields}


def _field(name: str, schema: Any) -> dict[str, Any]:
    return {"name": name, "type": schema}


def _nullable(name: str, schema: Any) -> dict[str, Any]:
    return {"name": name, "type": ["null", schema], "default": None}
