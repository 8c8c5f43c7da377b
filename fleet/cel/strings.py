"""Functions of strings: the standard ones, and the strings extension of the language.

Positions count Unicode characters from 0. The extension is specified with its tests:
https://github.com/google/cel-spec/blob/master/tests/simple/testdata/string_ext.textproto
"""

from __future__ import annotations

import operator
import string
from typing import TYPE_CHECKING, Any, Final

from fleet.cel.errors import EvaluationError
from fleet.cel.values import no_function, plain, within_bounds

if TYPE_CHECKING:
    from collections.abc import Callable

_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER: Final = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
# Unicode's White_Space; Python's own strip() takes control characters of ASCII for white space, too.
_WHITE_SPACE: Final = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_ALL: Final = -1


def _strings(name: str, *values: Any) -> tuple[str, ...]:
    found = tuple(map(plain, values))
    if any(type(value) is not str for value in found):
        raise no_function(name, *values)
    return found


def _whole(name: str, *values: Any) -> None:
    if any(type(value) is not int for value in values):
        raise no_function(name, *values)


def _test(name: str, test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def method(text: Any, part: Any) -> bool:
        if type(text) is not str or type(part) is not str:
            text, part = _strings(name, text, part)
        return test(text, part)

    return method


starts_with: Final = _test("startsWith", str.startswith)
ends_with: Final = _test("endsWith", str.endswith)
contains: Final = _test("contains", operator.contains)


def lower_ascii(text: Any) -> str:
    """``text.lowerAscii()``: only A to Z change."""
    (source,) = _strings("lowerAscii", text)
    return source.translate(_LOWER)


def upper_ascii(text: Any) -> str:
    """``text.upperAscii()``: only a to z change."""
    (source,) = _strings("upperAscii", text)
    return source.translate(_UPPER)


def trim(text: Any) -> str:
    """``text.trim()``: without Unicode white space at both ends."""
    (source,) = _strings("trim", text)
    return source.strip(_WHITE_SPACE)


def char_at(text: Any, position: Any) -> str:
    """``text.charAt(position)``; empty at the very end."""
    (source,) = _strings("charAt", text)
    _whole("charAt", position)
    _require_position(position, source)
    return source[position : position + 1]


def substring(text: Any, start: Any, *ends: Any) -> str:
    """``text.substring(start)`` or ``text.substring(start, end)``, without the character at `end`."""
    (source,) = _strings("substring", text)
    (end,) = ends or (len(source),)
    _whole("substring", start, end)
    _require_position(start, source)
    _require_position(end, source)
    if start > end:
        raise EvaluationError("index out of range")
    return source[start:end]


def _require_position(position: int, text: str) -> None:
    if not 0 <= position <= len(text):
        raise EvaluationError("index out of range")


def index_of(text: Any, part: Any, start: Any = 0) -> int:
    """``text.indexOf(part)`` or ``text.indexOf(part, start)``; -1 where there is none."""
    source, sought = _strings("indexOf", text, part)
    _whole("indexOf", start)
    _require_position(start, source)
    return source.find(sought, start)


def last_index_of(text: Any, part: Any, *lasts: Any) -> int:
    """``text.lastIndexOf(part)`` or ``text.lastIndexOf(part, last)``: the last place not behind `last`."""
    source, sought = _strings("lastIndexOf", text, part)
    (last,) = lasts or (len(source),)
    _whole("lastIndexOf", last)
    _require_position(last, source)
    return source.rfind(sought, 0, last + len(sought))


def replace(text: Any, old: Any, new: Any, limit: Any = _ALL) -> str:
    """``text.replace(old, new)`` or ``text.replace(old, new, limit)``; a negative limit replaces all."""
    source, old, new = _strings("replace", text, old, new)
    _whole("replace", limit)
    places = source.count(old) if limit < 0 else min(source.count(old), limit)
    within_bounds(len(source) + places * (len(new) - len(old)))
    return source.replace(old, new, places)


def split(text: Any, separator: Any, limit: Any = _ALL) -> list[str]:
    """``text.split(separator)`` or ``text.split(separator, limit)``.

    A limit gives at most so many parts, the last with the rest; a negative one all, 0 none.
    An empty separator gives the characters.
    """
    source, separator = _strings("split", text, separator)
    _whole("split", limit)
    if limit == 0:
        return []
    if separator:
        return source.split(separator, limit - 1 if limit > 0 else _ALL)
    if limit < 0 or limit >= len(source):
        return list(source)
    return [*source[: limit - 1], source[limit - 1 :]]


def join(parts: Any, separator: Any = "") -> str:
    """``parts.join()`` or ``parts.join(separator)`` of a list of strings."""
    if type(parts) is not list:
        raise no_function("join", parts)
    between, *found = _strings("join", separator, *parts)
    within_bounds(sum(map(len, found)) + len(between) * len(found))
    return between.join(found)
