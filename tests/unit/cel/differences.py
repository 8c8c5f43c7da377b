"""Where the language definition is followed and cel-python departs from it, all in one place.

`STRICT` tells the reference the overloads of the language definition ("Standard Environment"): cel-python
runs Python's operators, so that ``true + 1`` is 2 and ``3 < 2.5`` is decided there. With them, and with
null and list positions as defined, every pair of the corpus has to agree but for those of `DIFFERENCES`.

https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from celpy.celtypes import (
    BoolType,
    BytesType,
    DoubleType,
    DurationType,
    IntType,
    ListType,
    MapType,
    StringType,
    TimestampType,
    UintType,
)
from celpy.evaluation import CELEvalError, base_functions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ERROR: Final = "error"
_KINDS: Final = (BoolType, UintType, IntType, DoubleType, StringType, BytesType, TimestampType, DurationType)
_KEYS: Final = (StringType, IntType, UintType, BoolType)
_NUMBERS: Final = (IntType, UintType, DoubleType)
# What the reference gives for a sum, a product or a list is often Python's own type.
_OWN: Final[Mapping[type, type]] = {str: StringType, bytes: BytesType, float: DoubleType, list: ListType}
_NO_OVERLOAD: Final = CELEvalError("no such overload")


def _pairs(*kinds: type) -> set[tuple[type, ...]]:
    return {(kind, kind) for kind in kinds}


def _one(*kinds: type) -> set[tuple[type, ...]]:
    return {(kind,) for kind in kinds}


_TIMES: Final[set[tuple[type, ...]]] = {(TimestampType, DurationType), (DurationType, DurationType)}
_OVERLOADS: Final[Mapping[str, set[tuple[type, ...]]]] = {
    # "Arithmetic Operators"
    "_+_": _pairs(*_NUMBERS, StringType, BytesType, ListType) | _TIMES | {(DurationType, TimestampType)},
    "_-_": _pairs(*_NUMBERS) | _TIMES | {(TimestampType, TimestampType)},
    "_*_": _pairs(*_NUMBERS),
    "_/_": _pairs(*_NUMBERS),
    "_%_": _pairs(IntType, UintType),
    "-_": _one(IntType, DoubleType),
    # "Comparison Operators", between equal types
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), _pairs(*_KINDS)),
    # "List Operators", "Map Operators"
    "_[_]": {(ListType, IntType), (ListType, UintType), *((MapType, key) for key in _KEYS)},
    "size": _one(StringType, BytesType, ListType, MapType),
    # "String Functions"
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches"), _pairs(StringType)),
    # "Types and Conversions"
    "int": _one(IntType, UintType, DoubleType, StringType, TimestampType),
    "uint": _one(UintType, IntType, DoubleType, StringType),
    "double": _one(DoubleType, IntType, UintType, StringType),
    "string": _one(*_KINDS),
    "bytes": _one(BytesType, StringType),
    "bool": _one(BoolType, StringType),
    "timestamp": _one(TimestampType, StringType),
    "duration": _one(DurationType, StringType),
}


def _kind(value: Any) -> type:
    return _OWN.get(type(value), type(value))


def _own(value: Any) -> Any:
    return _OWN[type(value)](value) if type(value) in _OWN else value


def _strict(name: str, overloads: set[tuple[type, ...]]) -> Callable[..., Any]:
    function = base_functions[name]

    def apply(*arguments: Any) -> Any:
        if any(isinstance(argument, CELEvalError) for argument in arguments):
            return function(*arguments)
        kinds = tuple(map(_kind, arguments))
        return function(*map(_own, arguments)) if kinds in overloads else _NO_OVERLOAD

    return apply


def _index(owner: Any, key: Any) -> Any:
    """A position is never counted from the end ("List Operators")."""
    if _kind(owner) is ListType and isinstance(key, IntType) and key < 0:
        return CELEvalError("index out of range")
    return _strict("_[_]", _OVERLOADS["_[_]"])(owner, key)


def _getter(name: str, *others: type) -> Callable[..., Any]:
    """A time zone is a string that names one ("Timezones")."""
    function = _strict(name, {(TimestampType,), (TimestampType, StringType), *_one(*others)})

    def apply(value: Any, *zones: Any) -> Any:
        return CELEvalError("no such time zone") if zones == ("",) else function(value, *zones)

    return apply


def _equals(left: Any, right: Any) -> Any:
    """Null compares with every type ("Equality"), any other only with its own ("Homogeneous Equality")."""
    if isinstance(left, CELEvalError) or isinstance(right, CELEvalError):
        return left if isinstance(left, CELEvalError) else right
    if left is None or right is None:
        return BoolType(left is right)
    if _kind(left) is not _kind(right):
        return _NO_OVERLOAD
    if _kind(left) is ListType:
        return BoolType(source=False) if len(left) != len(right) else _all(map(_equals, left, right))
    if isinstance(left, MapType):
        return (
            BoolType(source=False)
            if left.keys() != right.keys()
            else _all(_equals(left[key], right[key]) for key in left)
        )
    return base_functions["_==_"](left, right)


def _all(results: Iterable[Any]) -> Any:
    found: Any = BoolType(source=True)
    for result in results:
        found = base_functions["_&&_"](found, result)
    return found


def _differs(left: Any, right: Any) -> Any:
    return base_functions["!_"](_equals(left, right))


def _in(item: Any, container: Any) -> Any:
    """As ``==`` with one element after the other."""
    if isinstance(item, CELEvalError) or isinstance(container, CELEvalError):
        return item if isinstance(item, CELEvalError) else container
    if _kind(container) not in {ListType, MapType}:
        return _NO_OVERLOAD
    found: Any = BoolType(source=False)
    for element in container:
        found = base_functions["_||_"](found, _equals(element, item))
    return found


def _logic(name: str) -> Callable[[Any, Any], Any]:
    """An operand that is neither true nor false is an error ("Logical Operators")."""
    function = base_functions[name]

    def apply(left: Any, right: Any) -> Any:
        one, two = (_NO_OVERLOAD if type(value) is not BoolType else value for value in (left, right))
        return function(one, two) if isinstance(one, BoolType) or isinstance(two, BoolType) else one

    return apply


def _whole(name: str, low: float, high: float) -> Callable[..., Any]:
    """The ends of the range are outside: a double cannot tell them apart ("Overflow")."""
    function = _strict(name, _OVERLOADS[name])

    def apply(value: Any) -> Any:
        outside = _kind(value) is DoubleType and not low < value < high
        return CELEvalError("overflow") if outside else function(value)

    return apply


STRICT: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _strict(name, overloads) for name, overloads in _OVERLOADS.items()},
    **{name: _getter(name) for name in base_functions if name.startswith("get")},
    **{
        name: _getter(name, DurationType)
        for name in ("getHours", "getMinutes", "getSeconds", "getMilliseconds")
    },
    "int": _whole("int", -(2.0**63), 2.0**63),
    "uint": _whole("uint", -1.0, 2.0**64),
    "_[_]": _index,
    "_==_": _equals,
    "_!=_": _differs,
    "_in_": _in,
    "_&&_": _logic("_&&_"),
    "_||_": _logic("_||_"),
}


class Difference(NamedTuple):
    """Pairs of the corpus where the two give something else.

    Attributes:
        clause: The section of the language definition that is followed.
        why: What the reference does there.
        expressions: The expressions of the corpus, as written.
        answer: What the compiled expression has to give where it differs, from the event.
    """

    clause: str
    why: str
    expressions: tuple[str, ...]
    answer: Callable[[Mapping[str, Any]], object]


def _error(_: Mapping[str, Any]) -> object:
    return ERROR


def _quotient(event: Mapping[str, Any]) -> object:
    return ("double", repr(math.nan if event["a"] == 0 else math.copysign(math.inf, event["a"])))


def _since_1970(event: Mapping[str, Any]) -> object:
    return ("timestamp", (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=event["a"])).isoformat())


DIFFERENCES: Final = (
    Difference(
        "Numeric Values (IEEE 754)",
        "a double divided by zero is plus infinity, whatever the dividend",
        ("event.a / event.b",),
        _quotient,
    ),
    Difference(
        "Macros",
        "a predicate may be anything, and is taken for true or false as Python does",
        (
            "[event.a, event.b].all(x, x)",
            "[event.a, event.b].exists(x, x)",
            "[event.a, event.b].exists_one(x, x)",
        ),
        _error,
    ),
    Difference(
        "Macros",
        "a string is a list of its characters",
        (
            "event.l.map(x, x)",
            "event.l.map(x, x + x)",
            "event.l.map(x, [x])",
            "event.l.map(x, size(x))",
            "event.l.exists(x, event.l.all(y, x >= y))",
            "event.l.filter(x, true)",
            "event.l.filter(x, false)",
            "event.l.filter(x, x == x)",
            "event.l.map(x, event.l.map(y, y))",
            "event.l.map(x, event.l.filter(y, y == x).size())",
            "event.l.filter(x, has(x.k))",
            "event.l.map(x, {'v': x})",
            'event.payer.exists(key, key == "id")',
        ),
        _error,
    ),
    Difference(
        "Macros",
        "map() knows no predicate",
        ('event.lines.map(line, line.units > 1, line.code + "*")',),
        lambda _: ("list", [("string", "'99285*'")]),
    ),
    Difference(
        "Runtime Errors",
        "the error of a value becomes an entry of the map",
        ("{'k': event.a}", "size({'k': event.a, 'm': 2})"),
        _error,
    ),
    Difference(
        "Types and Conversions",
        "white space around a number, and hexadecimal digits, are accepted",
        ("int(event.a)", "uint(event.a)", "double(event.a)", "int(double(event.a))"),
        _error,
    ),
    Difference(
        "Types and Conversions",
        "any whole number in a string is true or false",
        ("bool(event.a)",),
        _error,
    ),
    Difference(
        "Types and Conversions",
        "true and false are written with a capital",
        ("string(event.a)",),
        lambda event: ("string", repr(str(event["a"]).lower())),
    ),
    Difference(
        "Types and Conversions, Macros",
        "true and false are written with a capital, a string is a list of its characters",
        ("event.l.map(x, string(x))",),
        lambda event: (
            ERROR if event["l"] == "ab" else ("list", [("string", "'true'"), ("string", "'false'")])
        ),
    ),
    Difference(
        "Types and Conversions (int to timestamp: conformance tests)",
        "seconds since 1970 are no timestamp, dates without a time are",
        ("timestamp(event.a)",),
        lambda event: _since_1970(event) if type(event["a"]) is int else ERROR,
    ),
    Difference(
        "Types and Conversions",
        "a zero without a unit is no duration, days are",
        ("duration(event.a)",),
        lambda event: ("duration", 0.0) if event["a"] == "0" else ERROR,
    ),
    Difference(
        "Overflow (durations are 64 bits of nanoseconds)",
        "durations of 10,000 years are accepted",
        ('event.t - event.u < duration("24h")', 'event.t - event.u == duration("0s")'),
        _error,
    ),
    Difference(
        "Date/Time Functions (getMilliseconds)",
        "the milliseconds of a duration are all of it, not its last second's",
        ("duration(event.d).getMilliseconds()",),
        lambda event: ("int", {"59s": "0", "1s": "0", "250ms": "250"}.get(event["d"], "0")),
    ),
)
