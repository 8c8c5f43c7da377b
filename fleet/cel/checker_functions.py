"""Which types the functions take and give."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, NamedTuple

from fleet.cel.checker_operators import refuse, scale_of
from fleet.cel.nodes import Literal
from fleet.cel.types import (
    BOOL,
    BYTES,
    DECIMAL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    Kind,
    Type,
    decimal_of,
    list_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.cel.errors import ExpressionError
    from fleet.cel.nodes import Call, Node


class Signature(NamedTuple):
    """What a function takes, by position, and gives; arguments that may be left out come last."""

    takes: tuple[frozenset[Kind], ...]
    gives: Type


def _takes(*kinds: Kind) -> frozenset[Kind]:
    return frozenset(kinds)


_ANY: Final = frozenset(Kind) - {Kind.NULL}
_TEXT: Final = _takes(Kind.STRING)
_WHOLE: Final = _takes(Kind.INT)
_LIST: Final = _takes(Kind.LIST)
_NUMBER: Final = _takes(Kind.INT, Kind.UINT, Kind.DOUBLE, Kind.DECIMAL, Kind.STRING)
_EXACT: Final = _takes(Kind.INT, Kind.UINT, Kind.DECIMAL)
_INSTANT: Final = _takes(Kind.TIMESTAMP)
_SPAN: Final = _takes(Kind.DURATION)
_TEST: Final = (Signature((_TEXT, _TEXT), BOOL),)
_CHANGED: Final = (Signature((_TEXT,), STRING),)
_PLACE: Final = (Signature((_TEXT, _TEXT, _WHOLE), INT),)
_CALENDAR: Final = (Signature((_INSTANT, _TEXT), INT),)
_CLOCK: Final = (Signature((_INSTANT, _TEXT), INT), Signature((_SPAN,), INT))

SIGNATURES: Final[Mapping[str, tuple[Signature, ...]]] = {
    "size": (Signature((_takes(Kind.STRING, Kind.BYTES, Kind.LIST, Kind.MAP, Kind.RECORD),), INT),),
    "startsWith": _TEST,
    "endsWith": _TEST,
    "contains": _TEST,
    "matches": _TEST,
    "int": (Signature((_NUMBER | _INSTANT,), INT),),
    "uint": (Signature((_NUMBER,), UINT),),
    "double": (Signature((_NUMBER,), DOUBLE),),
    "decimal": (Signature((_EXACT | _TEXT,), DECIMAL),),
    "string": (Signature((_ANY - _takes(Kind.LIST, Kind.MAP, Kind.RECORD),), STRING),),
    "bytes": (Signature((_takes(Kind.BYTES, Kind.STRING),), BYTES),),
    "bool": (Signature((_takes(Kind.BOOL, Kind.STRING),), BOOL),),
    "dyn": (Signature((frozenset(Kind),), DYN),),
    "timestamp": (Signature((_takes(Kind.TIMESTAMP, Kind.STRING, Kind.INT),), TIMESTAMP),),
    "duration": (Signature((_takes(Kind.DURATION, Kind.STRING),), DURATION),),
    "round": (Signature((_EXACT, _WHOLE), DECIMAL),),
    "getFullYear": _CALENDAR,
    "getMonth": _CALENDAR,
    "getDate": _CALENDAR,
    "getDayOfMonth": _CALENDAR,
    "getDayOfWeek": _CALENDAR,
    "getDayOfYear": _CALENDAR,
    "getHours": _CLOCK,
    "getMinutes": _CLOCK,
    "getSeconds": _CLOCK,
    "getMilliseconds": _CLOCK,
    "charAt": (Signature((_TEXT, _WHOLE), STRING),),
    "indexOf": _PLACE,
    "join": (Signature((_LIST, _TEXT), STRING),),
    "lastIndexOf": _PLACE,
    "lowerAscii": _CHANGED,
    "replace": (Signature((_TEXT, _TEXT, _TEXT, _WHOLE), STRING),),
    "split": (Signature((_TEXT, _TEXT, _WHOLE), list_of(STRING)),),
    "substring": (Signature((_TEXT, _WHOLE, _WHOLE), STRING),),
    "trim": _CHANGED,
    "upperAscii": _CHANGED,
}


def check_call(node: Call, arguments: tuple[Type, ...]) -> Type:
    """Return the type of a call with arguments of these types.

    Raises:
        ExpressionError: An argument is none that the function takes.
    """
    signatures = SIGNATURES[node.function]
    for signature in signatures:
        if len(arguments) <= len(signature.takes) and all(map(_fits, arguments, signature.takes)):
            _check_elements(node, arguments)
            return _exactly(node, signature.gives, arguments)
    raise _unfit(node, arguments, signatures)


def _fits(found: Type, takes: frozenset[Kind]) -> bool:
    return found.kind in takes or found.kind is Kind.DYN


def _unfit(node: Call, arguments: tuple[Type, ...], signatures: tuple[Signature, ...]) -> ExpressionError:
    for place, (argument, found) in enumerate(zip(node.arguments, arguments, strict=True)):
        allowed = frozenset[Kind]().union(*(s.takes[place] for s in signatures if place < len(s.takes)))
        if not _fits(found, allowed):
            names: list[Kind] = [kind for kind in Kind if kind in allowed and kind is not Kind.DYN]
            return refuse(argument, f"{node.function}() takes {_listed(names)}, got {found}")
    # Each fits a signature, but not the same.
    return refuse(node.arguments[-1], f"{node.function}() of a {arguments[0]} takes no more arguments")


def _listed(names: list[Kind]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else str(last)


def _check_elements(node: Call, arguments: tuple[Type, ...]) -> None:
    item = arguments[0].item
    if node.function == "join" and item is not None and item.kind not in {Kind.STRING, Kind.DYN}:
        advice = "write list.map(x, string(x)).join(...)"
        raise refuse(node.arguments[0], f"join() takes list<string>, got {arguments[0]}; {advice}")


def _exactly(node: Call, gives: Type, arguments: tuple[Type, ...]) -> Type:
    """Of a decimal tell the digits behind the point, where what is written says so."""
    if node.function == "round":
        scale = node.arguments[1]
        return decimal_of(
            scale.value if isinstance(scale, Literal) and isinstance(scale.value, int) else None
        )
    if node.function != "decimal":
        return gives
    if arguments[0].kind is Kind.DECIMAL:
        return decimal_of(arguments[0].scale)
    if arguments[0].kind in {Kind.INT, Kind.UINT}:
        return decimal_of(0)
    return decimal_of(_written_scale(node.arguments[0]))


def _written_scale(node: Node) -> int | None:
    if not (isinstance(node, Literal) and isinstance(node.value, str)):
        return None
    try:
        return scale_of(Decimal(node.value))
    except InvalidOperation:
        return None
