"""What to write in place of operands that do not fit together, in a few words."""

from __future__ import annotations

import re
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING, Final

from fleet.cel.errors import EvaluationError
from fleet.cel.nodes import Binary, Literal, Node
from fleet.cel.times import duration_of, timestamp_of
from fleet.cel.types import Kind, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from decimal import Decimal

MAX_NAMED: Final = 8
_NUMBERS: Final = frozenset({Kind.INT, Kind.UINT, Kind.DOUBLE, Kind.DECIMAL})
_NUMBER: Final = re.compile(r"-?\d{1,18}(\.\d{1,18})?\Z", re.ASCII)
_ARITHMETIC: Final = frozenset("+-*/%")
_WRITTEN: Final = {
    Kind.TIMESTAMP: 'timestamp("2026-01-31T00:00:00Z")',
    Kind.DURATION: 'duration("1h30m")',
    Kind.BYTES: 'b"..."',
    Kind.BOOL: "true",
}
_CONVERTED: Final = (Kind.DOUBLE, Kind.UINT, Kind.INT)


def hint(node: Binary, left: Type, right: Type) -> str:
    """Return what would be right in place of one operand of `node`."""
    written = chain(_instead(node.right, left), _instead(node.left, right))
    return next(chain(written, _hints(node, left, right)))


def _hints(node: Binary, left: Type, right: Type) -> Iterator[str]:
    """Yield advice on two types, the best first."""
    kinds = {left.kind, right.kind}
    verb = "calculate" if node.operator in _ARITHMETIC else "compare"
    if Kind.NULL in kinds:
        yield "null is only equal or not; guard with x != null &&"
    if Kind.LIST in kinds and node.operator != "+":
        yield "write value in list, or list.exists(x, x == value)"
    if Kind.RECORD in kinds:
        yield f"{verb} with a field of the record"
    if kinds <= _NUMBERS and node.operator == "%":
        yield "% is for int and uint"
    if kinds <= _NUMBERS and len(kinds) > 1:
        yield f"convert one side with {next(kind for kind in _CONVERTED if kind in kinds)}()"
    for kind, example in _WRITTEN.items():
        if kind in kinds and len(kinds) > 1:
            yield f"{verb} with a {kind}, e.g. {example}"
    if kinds & _NUMBERS and len(kinds) > 1:
        yield f"{verb} with a number"
    yield f"{node.operator} is not for these types"


def _instead(node: Node, other: Type) -> Iterator[str]:
    """Yield what a constant should be beside a value of the type `other`."""
    if isinstance(node, Literal) and isinstance(node.value, str):
        yield from _instead_of_text(node.value, other)
    elif isinstance(node, Literal) and node.decimal is not None:
        yield from _instead_of_number(node.decimal, other)


def _instead_of_number(number: Decimal, other: Type) -> Iterator[str]:
    written = format(number, "f")
    whole = written.partition(".")[0] if number % 1 == 0 else ""
    if other.kind is Kind.STRING:
        yield f'write "{written}"'
    if other.kind is Kind.DOUBLE:
        yield f"write {written}.0"
    if other.kind is Kind.INT and whole:
        yield f"write {whole}"
    if other.kind is Kind.UINT and whole.isdecimal():
        yield f"write {whole}u"
    if other.kind is Kind.INT:
        yield "write a whole number, or convert the other side with double()"


def _instead_of_text(value: str, other: Type) -> Iterator[str]:
    """Yield what a text should be beside a value of the type `other`."""
    if other.kind in {Kind.TIMESTAMP, Kind.DURATION}:
        read = (text for text in (value, f"{value}T00:00:00Z") if _is_read(other.kind, text))
        yield from (f'write {other.kind}("{text}")' for text in read)
        yield f"write {_WRITTEN[other.kind]}"
    if other.kind is Kind.BYTES:
        yield "write b before the quotes"
    if other.kind is Kind.BOOL and value in {"true", "false"}:
        yield f"write {value} without quotes"
    if other.kind in _NUMBERS and _NUMBER.match(value):
        yield f"write {value} without quotes"


def _is_read(kind: Kind, value: str) -> bool:
    try:
        (timestamp_of if kind is Kind.TIMESTAMP else duration_of)(value)
    except EvaluationError:
        return False
    return True


def enum_hint(value: str, symbols: Iterable[str]) -> str:
    """Return what to say of a text that an enum does not have."""
    return f"{value!r} is no value of this field; {suggestion(value, symbols)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return which of the known names was meant, or the first of them."""
    names = list(known)
    by_lower = {each.lower(): each for each in reversed(names)}
    near = get_close_matches(name.lower(), by_lower, 1)
    if near:
        return f"did you mean {by_lower[near[0]]!r}?"
    return f"known: {', '.join(names[:MAX_NAMED])}{', ...' if len(names) > MAX_NAMED else ''}"
