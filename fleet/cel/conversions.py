"""From one type to another, always asked for: ``int(x)``, ``timestamp(text)``, ``decimal("1.50")``.

Language definition, "Types and Conversions"; ``decimal`` and ``round`` are this platform's own:
``decimal`` makes an exact number of a string or an integer, ``round(x, n)`` rounds a decimal or an
integer to `n` decimal places, a tie to the even neighbour (as IEEE 754 and banks do).
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from fleet.cel import times
from fleet.cel.errors import EvaluationError
from fleet.cel.literals import INT_MAX, INT_MIN, UINT_MAX
from fleet.cel.nodes import Uint
from fleet.cel.values import EXACT, no_function, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_SCALE: Final = 38  # digits of the widest Avro decimal
_WHOLE: Final = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_DOUBLE: Final = re.compile(
    r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE
)
_DECIMAL: Final = re.compile(r"[+-]?\d{1,38}(?:\.\d{1,38})?", re.ASCII)
_TRUE: Final = frozenset({"true", "True", "TRUE", "t", "1"})
_FALSE: Final = frozenset({"false", "False", "FALSE", "f", "0"})
_ROUNDING: Final = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])


def _same(value: Any) -> Any:
    return value


def _conversion(name: str, kinds: Mapping[type, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        value = plain(value)
        function = kinds.get(type(value))
        if function is None:
            raise no_function(name, value)
        return function(value)

    return convert


def _in_range(value: int, kind: type[int]) -> int:
    low, high = (0, UINT_MAX) if kind is Uint else (INT_MIN, INT_MAX)
    if not low <= value <= high:
        raise EvaluationError(f"{'uint' if kind is Uint else 'int'} overflow")
    return kind(value)


def _int(value: float) -> int:
    return _in_range(int(value), int)


def _uint(value: float) -> int:
    return _in_range(int(value), Uint)


def _double_to(kind: type[int]) -> Callable[[float], int]:
    """Truncate; the ends of the range are outside ("Overflow"), as a double cannot tell them apart."""
    low, high = (-1.0, 2.0**64) if kind is Uint else (-(2.0**63), 2.0**63)

    def convert(value: float) -> int:
        if math.isnan(value) or not low < value < high:
            raise EvaluationError(f"{'uint' if kind is Uint else 'int'} overflow")
        return kind(value)

    return convert


def _text_to(kind: type[int]) -> Callable[[str], int]:
    def convert(value: str) -> int:
        if _WHOLE.fullmatch(value) is None:
            raise EvaluationError("not a whole number; write digits, e.g. 42")
        return _in_range(int(value), kind)

    return convert


def _text_to_double(value: str) -> float:
    if _DOUBLE.fullmatch(value) is None:
        raise EvaluationError("not a number; write e.g. 2.5")
    return float(value)


def _text_to_bool(value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise EvaluationError("neither true nor false")


def _text_to_decimal(value: str) -> Decimal:
    if _DECIMAL.fullmatch(value) is None:
        raise EvaluationError("not a decimal; write digits and a point, e.g. 1.50")
    return Decimal(value)


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EvaluationError("bytes are not UTF-8") from None


def _timestamp_of_seconds(value: int) -> datetime:
    try:
        return times.EPOCH + timedelta(seconds=value)
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


def rounded(value: Any, scale: Any) -> Decimal:
    """``round(value, scale)``: to `scale` decimal places, a tie to the even neighbour."""
    if type(value) not in EXACT or type(scale) is not int:
        raise no_function("round", value, scale)
    if not 0 <= scale <= MAX_SCALE:
        raise EvaluationError(f"round() takes 0 to {MAX_SCALE} decimal places")
    try:
        return Decimal(value).quantize(Decimal(1).scaleb(-scale), context=_ROUNDING)
    except InvalidOperation:
        raise EvaluationError("decimal overflow") from None


to_int: Final = _conversion(
    "int",
    {
        int: _same,
        Uint: _int,
        float: _double_to(int),
        str: _text_to(int),
        Decimal: _int,
        datetime: times.unix_seconds,
    },
)
to_uint: Final = _conversion(
    "uint", {Uint: _same, int: _uint, float: _double_to(Uint), str: _text_to(Uint), Decimal: _uint}
)
to_double: Final = _conversion(
    "double", {float: _same, int: float, Uint: float, str: _text_to_double, Decimal: float}
)
to_decimal: Final = _conversion(
    "decimal", {Decimal: _same, int: Decimal, Uint: Decimal, str: _text_to_decimal}
)
to_bool: Final = _conversion("bool", {bool: _same, str: _text_to_bool})
to_bytes: Final = _conversion("bytes", {bytes: _same, str: str.encode})
to_timestamp: Final = _conversion(
    "timestamp", {datetime: _same, str: times.timestamp_of, int: _timestamp_of_seconds}
)
to_duration: Final = _conversion("duration", {timedelta: _same, str: times.duration_of})
to_string: Final = _conversion(
    "string",
    {
        str: _same,
        bool: lambda value: "true" if value else "false",
        int: str,
        Uint: str,
        float: str,
        bytes: _text_of_bytes,
        Decimal: lambda value: format(value, "f"),
        datetime: times.timestamp_text,
        timedelta: times.duration_text,
    },
)
to_dyn: Final = plain
