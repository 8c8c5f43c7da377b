"""What an explanation says: the part of a condition that decided, and the values that it read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from fleet.cel.times import duration_text, timestamp_text
from fleet.cel.values import plain, type_name

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict: TypeAlias = Literal["true", "false", "error"]

MISSING: Final = "missing"
MAX_TEXT: Final = 200
MAX_ELEMENTS: Final = 10
_MORE: Final = "..."
_TEXTS: Final[dict[str, Callable[[Any], str]]] = {
    "decimal": lambda value: format(value, "f"),
    "timestamp": timestamp_text,
    "duration": duration_text,
    "bytes": bytes.hex,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that a part of a condition read.

    Attributes:
        path: The path as written, e.g. ``event.payer.id``.
        type: Type of the value by the language's name; ``missing`` where there is none.
        value: The value, as JSON has it; decimals, times and bytes (hexadecimal) as text.
        fields: Fields of the event that it comes from, ``payer.id`` or ``payer``: some may not see them.
    """

    path: str
    type: str
    value: Any = None
    fields: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: str, value: Any, fields: tuple[str, ...] = ()) -> Reading:
        """Return the reading of a value at `path`."""
        return cls(path, type_name(value), shown(value), fields)

    @classmethod
    def missing(cls, path: str) -> Reading:
        """Return that there is nothing at `path`."""
        return cls(path, MISSING)

    def __str__(self) -> str:
        if self.type == MISSING:
            return f"{self.path} is missing"
        as_text = isinstance(self.value, str) and self.type in _TEXTS
        return f"{self.path} = {self.value if as_text else json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of a condition that decided.

    Attributes:
        text: The part as written.
        line: Where it is, from 1.
        column: Where it is, from 1.
        reads: The values that it read, in the order of the text, each path once.
        note: What else there is to say: how many elements there are, which one decided, what failed.
    """

    text: str
    line: int
    column: int
    reads: tuple[Reading, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        said = ", ".join([*map(str, self.reads), *([self.note] if self.note else [])])
        return f"{self.text} ({said})" if said else self.text


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a condition is what it is for one event.

    Attributes:
        verdict: What the condition is.
        findings: Where it is false, the smallest parts that make it so, smallest first; where it failed,
            the parts that failed. None where it is true.
        reason: What failed, free of values; empty otherwise.
    """

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    reason: str = ""


def shown(value: Any) -> Any:
    """Return `value` as JSON has it; of what is long the beginning, as a person reads it."""
    value = plain(value)
    text = _TEXTS.get(type_name(value))
    if text is not None:
        return _cut(text(value))
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, list):
        more = [_MORE] if len(value) > MAX_ELEMENTS else []
        return [*map(shown, value[:MAX_ELEMENTS]), *more]
    if isinstance(value, dict):
        more_fields = {_MORE: _MORE} if len(value) > MAX_ELEMENTS else {}
        first = list(value.items())[:MAX_ELEMENTS]
        return {_key(key): shown(item) for key, item in first} | more_fields
    if isinstance(value, float) and not Decimal(value).is_finite():
        return str(value)
    return value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + _MORE
