"""Arithmetic: 64-bit integers that never wrap, IEEE 754 doubles, exact decimals, times.

Language definition, "Overflow": https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import math
import operator
from datetime import datetime, timedelta
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from fleet.cel import times
from fleet.cel.errors import EvaluationError
from fleet.cel.literals import INT_MAX, INT_MIN, UINT_MAX
from fleet.cel.nodes import Uint
from fleet.cel.values import beside_decimal, no_overload, plain, type_name, within_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Avro decimals reach 38 digits: sums and products of two fit, and what does not is an error, never rounded.
_DECIMALS: Final = Context(prec=80, traps=[InvalidOperation, DivisionByZero, Inexact])
_QUOTIENTS: Final = Context(prec=34, traps=[InvalidOperation, DivisionByZero])


def negate(value: Any) -> Any:
    """``-value``."""
    kind = type(value)
    if kind is int:
        return _in_range(-value, int)
    if kind is float:
        return -value
    if kind is Decimal:
        return value.copy_negate()
    raise no_overload("-", value)


def _in_range(value: int, kind: type[int]) -> int:
    low, high = (0, UINT_MAX) if kind is Uint else (INT_MIN, INT_MAX)
    if not low <= value <= high:
        raise EvaluationError(f"{type_name(kind())} overflow")
    return kind(value)


def _arithmetic(
    symbol: str,
    whole: Callable[[int, int], int],
    double: Callable[[float, float], float] | None = None,
    decimal: Callable[[Any, Any], Decimal] | None = None,
    joined: frozenset[type] = frozenset(),
    temporal: Mapping[tuple[type, type], Callable[[Any, Any], Any]] | None = None,
) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        kind, other = type(left), type(right)
        if kind is other:
            if kind is int or kind is Uint:
                return _in_range(_whole(whole, left, right), kind)
            if kind is float and double is not None:
                return double(left, right)
            if kind in joined:
                within_bounds(len(left) + len(right))
                return left + right
        if decimal is not None and (kind is Decimal is other or beside_decimal(kind, other)):
            return _exactly(decimal, Decimal(left), Decimal(right))
        return apply_decoded(plain(left), plain(right), left, right)

    def apply_decoded(left: Any, right: Any, *before: Any) -> Any:
        function = (temporal or {}).get((type(left), type(right)))
        if function is not None:
            return _in_time(function, left, right)
        if left is not before[0] or right is not before[1]:
            return apply(left, right)
        raise no_overload(symbol, left, right)

    return apply


def _in_time(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    try:
        found = function(left, right)
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None
    return times.in_range(found) if type(found) is timedelta else found


def _whole(function: Callable[[int, int], int], left: int, right: int) -> int:
    try:
        return function(left, right)
    except ZeroDivisionError:
        raise EvaluationError("division by zero") from None


def _exactly(function: Callable[[Any, Any], Decimal], left: Decimal, right: Decimal) -> Decimal:
    try:
        return function(left, right)
    except (DivisionByZero, InvalidOperation, Inexact):
        reason = "division by zero" if function == _QUOTIENTS.divide and right == 0 else "decimal overflow"
        raise EvaluationError(reason) from None


def _quotient(left: int, right: int) -> int:
    """Divide towards zero, as the language does; Python divides towards minus infinity."""
    found = abs(left) // abs(right)
    return found if (left < 0) == (right < 0) else -found


def _remainder(left: int, right: int) -> int:
    return left - right * _quotient(left, right)


def _double_quotient(left: float, right: float) -> float:
    """Divide as IEEE 754 does; Python raises for a divisor of zero."""
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


_JOINED: Final = frozenset({str, bytes, list})
_SPANS: Final = dict.fromkeys(
    [(datetime, timedelta), (timedelta, datetime), (timedelta, timedelta)], operator.add
)
_GAPS: Final = dict.fromkeys(
    [(datetime, timedelta), (datetime, datetime), (timedelta, timedelta)], operator.sub
)
add: Final = _arithmetic("+", operator.add, operator.add, _DECIMALS.add, _JOINED, _SPANS)
subtract: Final = _arithmetic("-", operator.sub, operator.sub, _DECIMALS.subtract, temporal=_GAPS)
multiply: Final = _arithmetic("*", operator.mul, operator.mul, _DECIMALS.multiply)
divide: Final = _arithmetic("/", _quotient, _double_quotient, _QUOTIENTS.divide)
remainder: Final = _arithmetic("%", _remainder)
