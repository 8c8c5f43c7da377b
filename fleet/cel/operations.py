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
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from fleet.cel.errors import EvaluationError
from fleet.cel.nodes import Uint
from fleet.cel.values import beside_decimal, no_field, no_function, no_overload, plain, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ORDERED: Final = frozenset({bool, int, Uint, float, Decimal, str, bytes, datetime, timedelta})
_DECODED: Final = frozenset({datetime, date, time, UUID})
_READ_AT_ONCE: Final = 64
_SIZED: Final = frozenset({str, bytes, list, dict})
KEYS: Final = frozenset({str, int, Uint, bool})


def equals(left: Any, right: Any) -> bool:
    """``==``; lists and maps compare element by element."""
    kind = type(left)
    if left is None or right is None:
        return left is right
    if kind in _DECODED or type(right) in _DECODED:
        left, right = plain(left), plain(right)
        kind = type(left)
    if kind is not type(right):
        if beside_decimal(kind, type(right)):
            return bool(left == right)
        raise no_overload("==", left, right)
    if kind is list:
        return len(left) == len(right) and _all_equal(zip(left, right, strict=True))
    if kind is dict:
        return _same_keys(left, right) and _all_equal((left[key], right[key]) for key in left)
    return bool(left == right)


def _same_keys(left: dict[Any, Any], right: dict[Any, Any]) -> bool:
    """Compare keys as the language does, where ``true`` is not 1."""
    return left.keys() == right.keys() and _booleans(left) == _booleans(right)


def _booleans(keys: dict[Any, Any]) -> set[bool]:
    return {key for key in keys if type(key) is bool}


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
        if type(left) in _DECODED or type(right) in _DECODED:
            left, right = plain(left), plain(right)
        kind, other = type(left), type(right)
        comparable = kind is other and kind in _ORDERED
        if not comparable and not beside_decimal(kind, other):
            raise no_overload(symbol, left, right)
        return bool(compare(left, right))

    return ordered


less: Final = _comparison("<", operator.lt)
less_or_equal: Final = _comparison("<=", operator.le)
greater: Final = _comparison(">", operator.gt)
greater_or_equal: Final = _comparison(">=", operator.ge)


def contains(container: Any, item: Any) -> bool:
    """``item in container``: a list's elements or a map's keys."""
    if type(container) is dict:
        if _has_key(container, item):
            return True
    elif type(container) is not list:
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


def _has_key(container: dict[Any, Any], key: Any) -> bool:
    """Whether `container` has `key`, where ``true`` is not 1."""
    if type(key) not in KEYS or key not in container:
        return False
    return type(key) is str or (type(key) is bool) is (key in _booleans(container))


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
    key = plain(key)
    if type(owner) is dict and type(key) in KEYS:
        if not _has_key(owner, key):
            raise EvaluationError("no such key")
        return owner[key]
    raise no_overload("_[_]", owner, key)


def map_of(*entries: Any) -> dict[Any, Any]:
    """``{key: value, ...}``, from keys and values in turn."""
    found: dict[Any, Any] = {}
    for key, value in zip(entries[::2], entries[1::2], strict=True):
        key = plain(key)  # noqa: PLW2901 - the language's value for the decoded one
        if type(key) not in KEYS:
            raise EvaluationError(f"a map has no keys of type {type_name(key)}")
        if key in found:
            raise EvaluationError("duplicate key in a map")
        found[key] = value
    return found


def size(value: Any) -> int:
    """``size(value)``: characters, bytes, elements or entries."""
    value = plain(value)
    if type(value) not in _SIZED:
        raise no_function("size", value)
    return len(value)


def elements(source: Any) -> Any:
    """Return what a macro iterates over: a list's elements or a map's keys."""
    if type(source) is not list and type(source) is not dict:
        raise no_overload("macro", source)
    return source


def weight(value: Any) -> int:
    """Return what a value counts that a loop makes: itself and all that it holds."""
    kind = type(value)
    if kind is list:
        return 1 + sum(map(weight, value))
    if kind is dict:
        return 1 + sum(map(weight, value.values()))
    return 1 + len(value) if kind is str or kind is bytes else 1


def glance(value: Any) -> int:
    """Return what a value counts that a loop looks at once more: text is read much faster than made."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) // _READ_AT_ONCE
    return len(value) if kind is list or kind is dict else 0
