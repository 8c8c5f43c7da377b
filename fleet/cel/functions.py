"""The functions of the language: what they are called, how many arguments they take, what they run.

Standard functions follow the language definition, string functions its strings extension;
``decimal`` and ``round`` are this platform's own (`fleet.cel.conversions`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from fleet.cel import conversions, operations, patterns, strings, times
from fleet.cel.nodes import Uint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Function:
    """One function, by one name.

    Attributes:
        implementation: What runs; a method gets its receiver as the first argument.
        kind: The Python type of every result; None where it depends on the arguments.
        least: Fewest arguments, the receiver among them.
        most: Most arguments, the receiver among them.
        plain: Whether it is called as ``name(x)``.
        method: Whether it is called as ``x.name()``.
        constant: Whether equal constants always give an equal result, so that it may run when compiled.
        linear: Whether it takes time for every character, so that loops pay for what it reads and makes.
        prepared: What is made of a string written at a position, once, when the call is compiled.
    """

    implementation: Callable[..., Any]
    kind: type | None = None
    least: int = 1
    most: int = 1
    plain: bool = False
    method: bool = True
    constant: bool = True
    linear: bool = False
    prepared: Mapping[int, Callable[[str], Any]] = field(default_factory=dict)


def _conversion(implementation: Callable[[Any], Any], kind: type) -> Function:
    return Function(implementation, kind, plain=True, method=False, linear=kind in {str, bytes})


def _text(implementation: Callable[..., Any], kind: type, least: int, most: int) -> Function:
    return Function(implementation, kind, least, most, linear=True)


def _getter(implementation: Callable[..., int]) -> Function:
    return Function(implementation, int, 1, 2, prepared={1: times.zone})


FUNCTIONS: Final[Mapping[str, Function]] = {
    "size": Function(operations.size, int, plain=True),
    "startsWith": _text(strings.starts_with, bool, 2, 2),
    "endsWith": _text(strings.ends_with, bool, 2, 2),
    "contains": _text(strings.contains, bool, 2, 2),
    "matches": Function(
        patterns.matches, bool, 2, 2, plain=True, linear=True, prepared={1: patterns.pattern}
    ),
    "int": _conversion(conversions.to_int, int),
    "uint": _conversion(conversions.to_uint, Uint),
    "double": _conversion(conversions.to_double, float),
    "decimal": _conversion(conversions.to_decimal, Decimal),
    "string": _conversion(conversions.to_string, str),
    "bytes": _conversion(conversions.to_bytes, bytes),
    "bool": _conversion(conversions.to_bool, bool),
    "dyn": Function(conversions.to_dyn, plain=True, method=False, constant=False),
    "timestamp": _conversion(conversions.to_timestamp, datetime),
    "duration": _conversion(conversions.to_duration, timedelta),
    "round": Function(conversions.rounded, Decimal, least=2, most=2, plain=True, method=False),
    "getFullYear": _getter(times.get_full_year),
    "getMonth": _getter(times.get_month),
    "getDate": _getter(times.get_date),
    "getDayOfMonth": _getter(times.get_day_of_month),
    "getDayOfWeek": _getter(times.get_day_of_week),
    "getDayOfYear": _getter(times.get_day_of_year),
    "getHours": _getter(times.get_hours),
    "getMinutes": _getter(times.get_minutes),
    "getSeconds": _getter(times.get_seconds),
    "getMilliseconds": _getter(times.get_milliseconds),
    "charAt": _text(strings.char_at, str, 2, 2),
    "indexOf": _text(strings.index_of, int, 2, 3),
    "join": _text(strings.join, str, 1, 2),
    "lastIndexOf": _text(strings.last_index_of, int, 2, 3),
    "lowerAscii": _text(strings.lower_ascii, str, 1, 1),
    "replace": _text(strings.replace, str, 3, 4),
    "split": _text(strings.split, list, 2, 3),
    "substring": _text(strings.substring, str, 2, 3),
    "trim": _text(strings.trim, str, 1, 1),
    "upperAscii": _text(strings.upper_ascii, str, 1, 1),
}
