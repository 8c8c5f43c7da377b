"""Which types the operators take, and what to write where they do not fit.

It follows `fleet.cel.operations` and `fleet.cel.arithmetic`: nothing is converted in silence, and a
decimal stands beside integers and beside numbers written in the expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet.cel.checker_hints import enum_hint, hint
from fleet.cel.errors import ExpressionError, refused
from fleet.cel.nodes import Binary, ListOf, Literal, Node, Uint
from fleet.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    UINT,
    Kind,
    Type,
    decimal_of,
    join,
)

if TYPE_CHECKING:
    from decimal import Decimal

_LITERALS: Final[dict[type, Type]] = {
    bool: BOOL,
    int: INT,
    Uint: UINT,
    float: DOUBLE,
    str: STRING,
    bytes: BYTES,
    type(None): NULL,
}
_EXACT: Final = frozenset({Kind.INT, Kind.UINT, Kind.DECIMAL})
_ORDERED: Final = frozenset(
    {
        *(Kind.BOOL, Kind.INT, Kind.UINT, Kind.DOUBLE, Kind.DECIMAL),
        *(Kind.STRING, Kind.BYTES, Kind.TIMESTAMP, Kind.DURATION),
    }
)
_KEYED: Final = frozenset({Kind.MAP, Kind.RECORD})
_NUMBERS: Final = frozenset({Kind.INT, Kind.UINT, Kind.DOUBLE})
_ALIKE: Final = {
    "+": _NUMBERS | {Kind.STRING, Kind.BYTES, Kind.LIST, Kind.DURATION},
    "-": _NUMBERS | {Kind.DURATION},
    "*": _NUMBERS,
    "/": _NUMBERS,
    "%": frozenset({Kind.INT, Kind.UINT}),
}
_TIMES: Final = {
    ("+", Kind.TIMESTAMP, Kind.DURATION): TIMESTAMP,
    ("+", Kind.DURATION, Kind.TIMESTAMP): TIMESTAMP,
    ("-", Kind.TIMESTAMP, Kind.DURATION): TIMESTAMP,
    ("-", Kind.TIMESTAMP, Kind.TIMESTAMP): DURATION,
}


def refuse(node: Node, message: str) -> ExpressionError:
    """Return the error for `message` at `node`."""
    return refused(message, node.at.line, node.at.column)


def literal_type(node: Literal) -> Type:
    """Return the type of a constant."""
    return _LITERALS[type(node.value)]


def require_bool(node: Node, found: Type, symbol: str) -> None:
    """Refuse an operand of `symbol` that is not true or false."""
    if found.kind not in {Kind.BOOL, Kind.DYN}:
        raise refuse(node, f"{symbol} takes true or false, got {found}; compare it, e.g. with ==")


def check_negation(node: Node, found: Type) -> Type:
    """Return the type of ``-node``."""
    if found.kind not in {Kind.INT, Kind.DOUBLE, Kind.DECIMAL, Kind.DYN}:
        raise refuse(node, f"-{found}: only int, double and decimal have a sign")
    return found


def check_comparison(node: Binary, left: Type, right: Type) -> None:
    """Refuse ``==``, ``!=``, ``<`` and so on between types that never compare."""
    one, two = _written(node.left, left, right), _written(node.right, right, left)
    ordered = node.operator not in {"==", "!="}
    if not comparable(one, two) or (ordered and not (_is_ordered(one) and _is_ordered(two))):
        raise _mismatch(node, left, right)
    if not ordered:
        _check_symbol(node.left, two)
        _check_symbol(node.right, one)


def check_membership(node: Binary, item: Type, container: Type) -> None:
    """Refuse ``item in container`` where no element can be equal to it."""
    match container.kind:
        case Kind.DYN:
            return
        case Kind.LIST:
            _check_element(node, item, container)
        case Kind.MAP:
            _require_comparable(node, item, container, container.key or DYN)
        case Kind.RECORD:
            _require_comparable(node, item, container, STRING)
        case Kind.STRING:
            raise refuse(node.right, f"{item} in string: write text.contains(part)")
        case _:
            raise refuse(node.right, f"{item} in {container}: look in a list or a map")


def _check_element(node: Binary, item: Type, container: Type) -> None:
    if isinstance(node.right, ListOf) and all(isinstance(part, Literal) for part in node.right.items):
        # Beside a decimal they count as written, one by one.
        types = [
            (part, _written(part, literal_type(part), item))
            for part in node.right.items
            if isinstance(part, Literal)
        ]
        wrong = [part for part, kind in types if not comparable(item, kind)]
        if wrong and len(wrong) == len(types):
            raise _mismatch(Binary(wrong[0].at, "==", node.left, wrong[0]), item, literal_type(wrong[0]))
        for part, _ in types:
            _check_symbol(part, item)
        return
    _require_comparable(node, item, container, container.item or DYN)


def _require_comparable(node: Binary, item: Type, container: Type, element: Type) -> None:
    if not comparable(item, element):
        raise refuse(node, f"{item} in {container}: {hint(node, item, element)}")


def check_arithmetic(node: Binary, left: Type, right: Type) -> Type:
    """Return the type of a sum, a difference, a product, a quotient or a remainder."""
    if Kind.NULL in {left.kind, right.kind}:
        raise _mismatch(node, left, right)
    if Kind.DYN in {left.kind, right.kind}:
        return DYN
    one, two = _written(node.left, left, right), _written(node.right, right, left)
    if Kind.DECIMAL in {one.kind, two.kind} and {one.kind, two.kind} <= _EXACT and node.operator != "%":
        return decimal_of(_scale(node.operator, one, two))
    times = _TIMES.get((node.operator, one.kind, two.kind))
    if times is not None:
        return times
    if one.kind is not two.kind or one.kind not in _ALIKE[node.operator]:
        raise _mismatch(node, left, right)
    return _without_null(join(one, two))


def comparable(one: Type, other: Type) -> bool:
    """Return whether values of the two types can be equal, or told apart without an error."""
    kinds = {one.kind, other.kind}
    if kinds & {Kind.DYN, Kind.NULL} or kinds <= _KEYED:
        return True
    if one.kind is not other.kind:
        return Kind.DECIMAL in kinds and kinds <= _EXACT
    return one.kind is not Kind.LIST or comparable(one.item or DYN, other.item or DYN)


def _is_ordered(found: Type) -> bool:
    return found.kind in _ORDERED or found.kind is Kind.DYN


def _written(node: Node, found: Type, other: Type) -> Type:
    """A number written beside a decimal is one itself, with the digits that it has."""
    if isinstance(node, Literal) and node.decimal is not None and other.kind is Kind.DECIMAL:
        return decimal_of(scale_of(node.decimal))
    return found


def scale_of(number: Decimal) -> int:
    """Return how many digits are written behind the point."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _scale(operator: str, one: Type, two: Type) -> int | None:
    scales = [found.scale if found.kind is Kind.DECIMAL else 0 for found in (one, two)]
    first, second = scales
    if first is None or second is None or operator == "/":
        return None
    return first + second if operator == "*" else max(first, second)


def _without_null(found: Type) -> Type:
    return Type(found.kind, item=found.item)


def _mismatch(node: Binary, left: Type, right: Type) -> ExpressionError:
    return refuse(node, f"{left} {node.operator} {right}: {hint(node, left, right)}")


def _check_symbol(node: Node, beside: Type) -> None:
    """Refuse a text that an enum never has."""
    if not beside.symbols or not isinstance(node, Literal) or not isinstance(node.value, str):
        return
    if node.value not in beside.symbols:
        raise refuse(node, enum_hint(node.value, beside.symbols))
