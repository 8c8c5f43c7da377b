"""What the operators of the language mean at run time.

CEL has no implicit conversions: an operator that has no overload for the types it meets
is an error, which ``&&``, ``||``, ``in``, ``exists`` and ``all`` may absorb. Three
points go beyond cel-python on purpose: ``null`` compares with anything (language
definition, "Equality"), mistyped booleans are errors there as for every other type, and
``decimal`` is a type of its own that compares exactly with integers and with numbers
written in the condition. Messages name types, never values.
"""

from __future__ import annotations

import operator
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from fleet.cel.errors import EvaluationError
from fleet.cel.nodes import Uint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
}
_ORDERED: Final = frozenset({bool, int, Uint, float, Decimal, str, bytes, date, datetime})
# Numbers that compare and calculate exactly beside a decimal.
EXACT: Final = frozenset({int, Uint, Decimal})


def type_name(value: object) -> str:
    """Return the language's name for the type of `value`."""
    return _NAMES.get(type(value), type(value).__name__)


def beside_decimal(left: type, right: type) -> bool:
    """Whether one of two numeric types is a decimal and the other exact beside it."""
    return (left is Decimal and right in EXACT) or (right is Decimal and left in EXACT)


def no_overload(symbol: str, *operands: object) -> EvaluationError:
    """Return the error for `symbol` applied to types that it does not know."""
    types = [type_name(operand) for operand in operands]
    written = f" {symbol} ".join(types) if len(types) > 1 else f"{symbol}({types[0]})"
    return EvaluationError(f"no such overload: {written}")


def no_field(name: str) -> EvaluationError:
    """Return the error for a field or attribute that the event does not have."""
    return EvaluationError(f"no such field {name!r}; guard it with has()")


def equals(left: Any, right: Any) -> bool:
    """``==``; lists and maps compare element by element."""
    kind = type(left)
    if left is None or right is None:
        return left is right
    if kind is not type(right):
        if beside_decimal(kind, type(right)):
            return bool(left == right)
        raise no_overload("==", left, right)
    if kind is list:
        return len(left) == len(right) and _all_equal(zip(left, right, strict=True))
    if kind is dict:
        return left.keys() == right.keys() and _all_equal((left[key], right[key]) for key in left)
    return bool(left == right)


def _all_equal(pairs: Iterable[tuple[Any, Any]]) -> bool:
    """One difference decides, even beside an element that cannot be compared."""
    pending: str | None = None
    for left, right in pairs:
        try:
            if not equals(left, right):
                return False
        except EvaluationError as error:
            pending = error.message
    if pending is not None:
        raise EvaluationError(pending)
    return True


def differs(left: Any, right: Any) -> bool:
    """``!=``."""
    return not equals(left, right)


def _comparison(symbol: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        kind, other = type(left), type(right)
        comparable = kind is other and kind in _ORDERED
        if not comparable and not beside_decimal(kind, other):
            raise no_overload(symbol, left, right)
        try:
            return bool(compare(left, right))
        except TypeError:  # a timestamp with a zone beside one without
            raise no_overload(symbol, left, right) from None

    return ordered


less: Final = _comparison("<", operator.lt)
less_or_equal: Final = _comparison("<=", operator.le)
greater: Final = _comparison(">", operator.gt)
greater_or_equal: Final = _comparison(">=", operator.ge)


def contains(container: Any, item: Any) -> bool:
    """``item in container``: a list's elements or a map's keys."""
    if type(container) is not list and type(container) is not dict:
        raise no_overload("in", item, container)
    pending: str | None = None
    for element in container:
        try:
            if equals(element, item):
                return True
        except EvaluationError as error:
            pending = error.message
    if pending is not None:
        raise EvaluationError(pending)
    return False


def select(owner: Any, name: str) -> Any:
    """``owner.name``."""
    if type(owner) is not dict:
        raise EvaluationError(f"no such field {name!r}: {type_name(owner)} has no fields")
    try:
        return owner[name]
    except KeyError:
        raise no_field(name) from None


def index(owner: Any, key: Any) -> Any:
    """``owner[key]``: a list by position from 0, a map by key."""
    if type(owner) is list and type(key) in {int, Uint}:
        if not 0 <= key < len(owner):
            raise EvaluationError("index out of range")
        return owner[key]
    if type(owner) is dict and type(key) in {str, int, Uint, bool}:
        if key not in owner:
            raise EvaluationError("no such key")
        return owner[key]
    raise no_overload("_[_]", owner, key)


def size(value: Any) -> int:
    """``size(value)``: characters, bytes, elements or entries."""
    if type(value) not in {str, bytes, list, dict}:
        raise no_overload("size", value)
    return len(value)


def _text(symbol: str, test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def method(text: Any, part: Any) -> bool:
        if type(text) is not str or type(part) is not str:
            raise no_overload(symbol, text, part)
        return test(text, part)

    return method


starts_with: Final = _text("startsWith", str.startswith)
ends_with: Final = _text("endsWith", str.endswith)
text_contains: Final = _text("contains", operator.contains)


def elements(source: Any) -> Any:
    """Return what a macro iterates over: a list's elements or a map's keys."""
    if type(source) is not list and type(source) is not dict:
        raise no_overload("macro", source)
    return source
