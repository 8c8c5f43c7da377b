"""What a query asks for: groups by the parts of their key, instants, numbers; refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson

from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.windowing.window import MAX_MS, MIN_MS
from tables.errors import InvalidInputError

KEY: Final = "key."
"""May stand before the name of a part, and has to where a parameter has the same name."""
NULL: Final = ".null"
"""Stands after the name of a part that is null."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH_MS: Final = re.compile(r"-?[0-9]{1,18}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_LONG: Final = 1 << 63


class Parts:
    """The parts of the group key of a build, with their types.

    Args:
        names: Their names, in the order of the key.
        schema: Avro schema of the results, which has a field for each.
    """

    def __init__(self, names: Iterable[str], schema: Mapping[str, Any]) -> None:
        self.names = tuple(names)
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        self._readers = {name: _reader(fields[name]) for name in self.names}

    def of_query(self, query: Mapping[str, str], options: Iterable[str]) -> str:
        """Return the group that a query names; other parameters than parts are `options`.

        Raises:
            InvalidInputError: A part is missing, is named twice, or is not of its type.
        """
        taken = frozenset(options)
        found: dict[str, Any] = {}
        for name in self.names:
            plain = () if name in taken else (name, f"{name}{NULL}")
            given = [each for each in (*plain, f"{KEY}{name}", f"{KEY}{name}{NULL}") if each in query]
            if len(given) != 1:
                word = f"{KEY}{name}" if name in taken else name
                what = "is given twice" if given else "is missing"
                hint = f"give {word}=<value>, or {word}{NULL}=true for null"
                raise InvalidInputError(f"part {name} of the key {what}", field=name, hint=hint)
            found[name] = self._of_text(name, given[0], query[given[0]])
        return group_key([found[name] for name in self.names])

    def of_values(self, values: Any) -> str:
        """Return the group that a JSON object names.

        Raises:
            InvalidInputError: A part is missing, is not known, or is not of its type.
        """
        if not isinstance(values, Mapping) or values.keys() != set(self.names):
            hint = f"give exactly {', '.join(self.names)}; null where it is null"
            raise InvalidInputError("a key must be an object with its parts", field="keys", hint=hint)
        return group_key([self._of_value(name, values[name]) for name in self.names])

    def parameters(self) -> set[str]:
        """Return all parameters that can name a part."""
        return {
            f"{before}{name}{after}" for name in self.names for before in ("", KEY) for after in ("", NULL)
        }

    def shown(self, group: str) -> dict[str, Any]:
        """Return the parts of a group by name, as JSON values."""
        return dict(zip(self.names, orjson.loads(group), strict=True))

    def _of_text(self, name: str, parameter: str, text: str) -> Any:
        if not parameter.endswith(NULL):
            return self._read(name, text)
        if text != "true":
            raise InvalidInputError(f"{parameter} must be true", field=parameter, hint="or leave it out")
        return None

    def _of_value(self, name: str, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, int | float):
            value = repr(value)
        if not isinstance(value, str):
            raise InvalidInputError(
                f"part {name} of a key is neither a text nor a number", field=name, hint="or null"
            )
        return self._read(name, value)

    def _read(self, name: str, text: str) -> Any:
        try:
            return self._readers[name](text)
        except (ValueError, OverflowError) as error:
            raise InvalidInputError(
                f"{name}: {text[:50]!r} is not {error}", field=name, hint="write it as the answers do"
            ) from None


def _reader(schema: Any) -> Callable[[str], Any]:
    branches = schema if isinstance(schema, list) else [schema]
    (plain,) = [branch for branch in branches if branch != "null"]
    if isinstance(plain, Mapping):
        return _decimal if plain.get("logicalType") == "decimal" else _timestamp
    return {"boolean": _boolean, "long": _long, "bytes": _bytes}.get(plain, _string)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _long(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -_LONG <= int(text) < _LONG:
        raise ValueError("a whole number of 64 bits")
    return int(text)


def _decimal(text: str) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise ValueError("a decimal number")
    return Decimal(text)


def _timestamp(text: str) -> datetime:
    return _instant(text)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError("a run of hexadecimal digits") from None


def _string(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text in UTF-8") from None
    return text


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a time of RFC 3339") from None
    if found.tzinfo is None:
        raise ValueError("a time with its zone, e.g. 2026-01-31T00:00:00Z")
    return found


def instant_ms(text: str, name: str) -> int:
    """Return the first millisecond that is not before an instant, in epoch milliseconds.

    Args:
        text: An instant of RFC 3339, or epoch milliseconds.
        name: What it is, for people.

    Raises:
        InvalidInputError: It is neither.
    """
    if _EPOCH_MS.fullmatch(text):
        return min(max(int(text), MIN_MS), MAX_MS)
    try:
        return -((_EPOCH - _instant(text)) // _MILLISECOND)
    except (ValueError, OverflowError):
        hint = "write a time with its zone, e.g. 2026-01-31T00:00:00Z, or epoch milliseconds"
        raise InvalidInputError(f"{name}: {text[:50]!r} is no instant", field=name, hint=hint) from None


def instant_text(time_ms: int | None) -> str | None:
    """Return an instant as answers have it, RFC 3339 in UTC; None for one that is no date."""
    if time_ms is None:
        return None
    try:
        moment = _EPOCH + time_ms * _MILLISECOND
    except OverflowError:
        return None
    return time_text(moment)


def time_text(moment: datetime) -> str:
    """Return a moment as RFC 3339, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
