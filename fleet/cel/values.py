"""The values of the language, and what Avro's decoder gives that is not one of them yet.

The language has null, bool, int, uint, double, decimal, string, bytes, timestamp,
duration, list and map. What fastavro decodes beyond these is read as follows:

- ``date``: the timestamp of its midnight in UTC;
- ``local-timestamp-*`` (a timestamp without a zone): the timestamp with that clock in UTC;
- ``time-*``: the duration since midnight;
- ``uuid``: the string in its canonical form, lower case with hyphens.

Enums are strings and fixed values are bytes as they are decoded. Timestamps and durations
keep microseconds, the finest that the decoded types have; finer digits are cut off.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from fleet.cel.errors import EvaluationError
from fleet.cel.nodes import Uint

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES: Final[dict[type, str]] = {
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    Decimal: "decimal",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    type(None): "null",
    datetime: "timestamp",
    timedelta: "duration",
    date: "timestamp",
    time: "duration",
    UUID: "string",
}
# Numbers that compare and calculate exactly beside a decimal.
EXACT: Final = frozenset({int, Uint, Decimal})
# Characters, bytes or elements that one operation makes, and that the loops of one evaluation make together.
MAX_SIZE: Final = 1_000_000


def type_name(value: object) -> str:
    """Return the language's name for the type of `value`."""
    return _NAMES.get(type(value), type(value).__name__)


def beside_decimal(left: type, right: type) -> bool:
    """Whether one of two numeric types is a decimal and the other exact beside it."""
    return (left is Decimal and right in EXACT) or (right is Decimal and left in EXACT)


def no_overload(symbol: str, *operands: object) -> EvaluationError:
    """Return the error for the operator `symbol` applied to types that it does not know."""
    types = [type_name(operand) for operand in operands]
    written = f" {symbol} ".join(types) if len(types) > 1 else f"{symbol}({types[0]})"
    return EvaluationError(f"no such overload: {written}")


def no_function(name: str, *arguments: object) -> EvaluationError:
    """Return the error for the function `name` called with types that it does not know."""
    return EvaluationError(f"no such overload: {name}({', '.join(map(type_name, arguments))})")


def no_field(name: str) -> EvaluationError:
    """Return the error for a field or attribute that the event does not have."""
    return EvaluationError(f"no such field {name!r}; guard it with has()")


def too_large() -> EvaluationError:
    """Return the error for an expression that makes or looks at too much."""
    return EvaluationError(f"result too large: more than {MAX_SIZE} characters, bytes or elements")


def within_bounds(size: int) -> None:
    """Refuse to make something larger than `MAX_SIZE`, so that no expression can exhaust the memory.

    Raises:
        EvaluationError: `size` is more.
    """
    if size > MAX_SIZE:
        raise too_large()


def _instant(value: datetime) -> datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _midnight(value: date) -> datetime:
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def _since_midnight(value: time) -> timedelta:
    return timedelta(
        hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
    )


def _settled_list(value: list[Any]) -> list[Any]:
    return [settled(item) for item in value]


def _settled_map(value: dict[Any, Any]) -> dict[Any, Any]:
    return {key: settled(item) for key, item in value.items()}


_SETTLED: Final[dict[type, Callable[[Any], Any]]] = {
    datetime: _instant,
    date: _midnight,
    time: _since_midnight,
    UUID: str,
}
_DEEPLY: Final[dict[type, Callable[[Any], Any]]] = {**_SETTLED, list: _settled_list, dict: _settled_map}


def plain(value: Any) -> Any:
    """Return the language's value for a decoded one; lists and maps stay as they are."""
    convert = _SETTLED.get(type(value))
    return value if convert is None else convert(value)


def settled(value: Any) -> Any:
    """Return the language's value for a decoded one, with all that it holds."""
    convert = _DEEPLY.get(type(value))
    return value if convert is None else convert(value)
