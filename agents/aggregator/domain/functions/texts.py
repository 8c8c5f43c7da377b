"""Values as text within states: one text for equal values, whatever way they were written."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final, NamedTuple

from fleet.cel.types import Kind

EXACT: Final = Context(prec=10_000, traps=[Inexact, InvalidOperation])
"""Decimal arithmetic that never rounds: more digits than any event has are an error."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ZERO: Final = Decimal(0)


class Text(NamedTuple):
    """How values of one kind are written and read."""

    write: Callable[[Any], str]
    read: Callable[[str], Any]


def text_of(kind: Kind) -> Text:
    """Return how values of a scalar kind are written and read."""
    return _TEXTS[kind]


def write_decimal(value: Decimal) -> str:
    """Return one text for all decimals that are equal."""
    text = str(value)
    if "." in text and "E" not in text:
        # Nearly all: what `normalize` gives, in half the time.
        text = text.rstrip("0")
        if text[-1] != ".":
            return text
    # Adding zero makes -0 of it 0, as it is equal.
    return str(EXACT.normalize(EXACT.add(value, _ZERO)))


def _read_decimal(text: str) -> Decimal:
    return Decimal(text)


def _write_whole(value: int) -> str:
    return str(int(value))


def _write_double(value: float) -> str:
    # Adding zero makes -0.0 of it 0.0, as it is equal; all NaNs are written alike.
    return repr(value + 0.0)


def _write_timestamp(value: datetime) -> str:
    return str((value - _EPOCH) // _MICROSECOND)


def _read_timestamp(text: str) -> datetime:
    return _EPOCH + int(text) * _MICROSECOND


def _write_bytes(value: bytes) -> str:
    return b64encode(value).decode()


def _write_bool(value: bool) -> str:  # noqa: FBT001 - the value itself
    return "true" if value else "false"


def _read_bool(text: str) -> bool:
    return text == "true"


_TEXTS: Final[dict[Kind, Text]] = {
    Kind.BOOL: Text(_write_bool, _read_bool),
    Kind.INT: Text(_write_whole, int),
    Kind.UINT: Text(_write_whole, int),
    Kind.DOUBLE: Text(_write_double, float),
    Kind.DECIMAL: Text(write_decimal, _read_decimal),
    Kind.STRING: Text(str, str),
    Kind.BYTES: Text(_write_bytes, b64decode),
    Kind.TIMESTAMP: Text(_write_timestamp, _read_timestamp),
}
