"""Answers as JSON and as CSV: exact, with what a window stands at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from agents.aggregator.queries.asked import instant_text, time_text

OPEN: Final = "open"
CLOSED: Final = "closed"
_QUOTED: Final = frozenset('",\r\n')


@dataclass(frozen=True, slots=True)
class Found:
    """One row of an answer.

    Attributes:
        group: Parts of the group key by name.
        start_ms: Start of the window; None for all time.
        end_ms: Its end.
        closed: Whether it has closed: nothing of it changes any more.
        values: Results of the functions by name, as `plain` gives them.
        too_large: Names of results that have more digits than a result may have, and are null.
    """

    group: Mapping[str, Any]
    start_ms: int | None
    end_ms: int | None
    closed: bool
    values: Mapping[str, Any]
    too_large: Sequence[str] = ()

    def shown(self) -> dict[str, Any]:
        """Return it as JSON values."""
        window = window_shown(self.start_ms, self.end_ms, closed=self.closed)
        shown = {"key": self.group, **window, "values": self.values}
        return {**shown, "too_large": self.too_large} if self.too_large else shown


def window_shown(start_ms: int | None, end_ms: int | None, *, closed: bool) -> dict[str, Any]:
    """Return a window as JSON values."""
    return {
        "start": instant_text(start_ms),
        "end": instant_text(end_ms),
        "state": CLOSED if closed else OPEN,
    }


def plain(value: Any) -> Any:
    """Return a result as JSON values: decimals as texts, times as RFC 3339, bytes as hexadecimal digits.

    What JSON has no number for is a text too: ``NaN``, ``Infinity``, ``-Infinity``.
    """
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [*map(plain, value)]
    shown = _TEXTS.get(type(value))
    return value if shown is None else shown(value)


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_TEXTS: Final[Mapping[type, Callable[[Any], Any]]] = {
    Decimal: "{:f}".format,
    datetime: time_text,
    bytes: bytes.hex,
    float: _float,
}


def csv_of(
    rows: Sequence[Found], parts: Sequence[str], functions: Sequence[str], about: Mapping[str, Any]
) -> str:
    """Return rows as CSV (RFC 4180); null is an empty field, an empty text is quoted.

    Columns are the parts of the key, ``window_start``, ``window_end``, ``final``, a result each (of a
    result with fields a column each, ``latency.p99``; a list as JSON), and what `about` says.

    Args:
        rows: The rows.
        parts: Parts of the group key.
        functions: Names of the results.
        about: Further columns, the same in all rows.
    """
    flat = [_flat(row.values) for row in rows]
    columns = {name: name for name in functions}
    wide: dict[str, None] = {}
    for name in columns:
        own = [each for values in flat for each in values if each == name or each.startswith(f"{name}.")]
        wide |= dict.fromkeys([each for each in own if each != name] or [name])
    lines = [[*parts, "window_start", "window_end", "final", *wide, *about]]
    for row, values in zip(rows, flat, strict=True):
        window = instant_text(row.start_ms), instant_text(row.end_ms), row.closed
        line = [*(row.group[part] for part in parts), *window, *(values.get(name) for name in wide)]
        lines.append([*line, *about.values()])
    return "".join(",".join(map(_field, line)) + "\r\n" for line in lines)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": each for inner, each in value.items()}
        else:
            found[name] = value
    return found


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        quoted = not value or not _QUOTED.isdisjoint(value)
        return '"' + value.replace('"', '""') + '"' if quoted else value
    text = orjson.dumps(value).decode()
    return _field(text) if isinstance(value, list | dict) else text


def accepted(accept: Iterable[str], offered: Sequence[str]) -> str | None:
    """Return which of some media types a client prefers, the first of them in doubt; None for none.

    Args:
        accept: Values of its ``Accept`` headers; none takes all.
        offered: The media types.
    """
    quality: dict[str, float] = {}
    for part in ",".join(accept).split(",") if accept else ():
        name, *parameters = (text.strip().lower() for text in part.split(";"))
        if name:
            quality[name] = _quality(parameters)
    if not quality:
        return offered[0]
    best: tuple[float, str] | None = None
    for media_type in offered:
        patterns = (media_type, f"{media_type.split('/', maxsplit=1)[0]}/*", "*/*")
        found = next((quality[pattern] for pattern in patterns if pattern in quality), 0.0)
        if found > 0 and (best is None or found > best[0]):
            best = found, media_type
    return None if best is None else best[1]


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip() == "q":
            try:
                found = float(text)
            except ValueError:
                return 0.0
            return found if 0 <= found <= 1 else 0.0
    return 1.0
