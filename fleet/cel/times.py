"""Timestamps and durations: how they are written, calculated with and taken apart.

Language definition, "Date/Time Functions" and "Timezones":
https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fleet.cel.errors import EvaluationError
from fleet.cel.values import no_function, plain

if TYPE_CHECKING:
    from collections.abc import Callable

_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_DURATION: Final = re.compile(
    r"([+-]?)(0|(?:\d{1,19}(?:\.\d{0,19})?|\.\d{1,19})(?:h|ms?|s|us|µs|ns))+", re.ASCII
)
_PART: Final = re.compile(r"([\d.]+)(h|ms?|s|us|µs|ns)", re.ASCII)
_NANOSECONDS: Final = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1000,
    "µs": 1000,
    "ns": 1,
}
_FIXED: Final = re.compile(r"([+-]?)(\d\d):([0-5]\d)", re.ASCII)
_CACHED: Final = 256
_MICROSECOND: Final = timedelta(microseconds=1)
# 64 bits of nanoseconds, about 290 years ("Overflow").
_LONGEST: Final = timedelta(microseconds=(2**63 - 1) // 1000)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp_of(text: str) -> datetime:
    """Return the timestamp that `text` writes as RFC 3339.

    Raises:
        EvaluationError: It is not one, or its instant is outside the years 1 to 9999.
    """
    try:
        if _RFC_3339.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise EvaluationError("not a timestamp; write RFC 3339, e.g. 2026-01-31T00:00:00Z")


def duration_of(text: str) -> timedelta:
    """Return the duration that `text` writes with the units h, m, s, ms, us and ns.

    Raises:
        EvaluationError: It is not one, or does not fit into 64 bits of nanoseconds.
    """
    written = _DURATION.fullmatch(text)
    if written is None:
        raise EvaluationError("not a duration; write it with h, m, s, ms, us or ns, e.g. 1h30m")
    parts = (Fraction(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text))
    microseconds = int(sum(parts, Fraction()) / 1000)
    if microseconds * _MICROSECOND > _LONGEST:
        raise EvaluationError("duration overflow")
    return -microseconds * _MICROSECOND if written[1] == "-" else microseconds * _MICROSECOND


def in_range(value: timedelta) -> timedelta:
    """Return `value`.

    Raises:
        EvaluationError: It does not fit into 64 bits of nanoseconds.
    """
    if not -_LONGEST <= value <= _LONGEST:
        raise EvaluationError("duration overflow")
    return value


def unix_seconds(value: datetime) -> int:
    """Return whole seconds since 1970, rounded down."""
    return (value - EPOCH) // timedelta(seconds=1)


def timestamp_text(value: datetime) -> str:
    """Return `value` as RFC 3339 in UTC, without zeros at the end of a fraction."""
    clock = value.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (clock.rstrip("0") if "." in clock else clock) + "Z"


def duration_text(value: timedelta) -> str:
    """Return `value` in seconds, without zeros at the end of a fraction: ``60.001s``."""
    microseconds = value // _MICROSECOND
    seconds, fraction = divmod(abs(microseconds), 1_000_000)
    digits = f".{fraction:06}".rstrip("0") if fraction else ""
    return f"{'-' if microseconds < 0 else ''}{seconds}{digits}s"


@lru_cache(maxsize=_CACHED)
def zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name or of a fixed offset such as ``-05:00``.

    Raises:
        EvaluationError: There is none of that name.
    """
    if fixed := _FIXED.fullmatch(name):
        minutes = int(fixed[2]) * 60 + int(fixed[3])
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=-minutes if fixed[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise EvaluationError("no such time zone; write e.g. America/New_York or -05:00") from None


def _clock(name: str, value: datetime, zones: tuple[Any, ...]) -> datetime:
    """Return `value` on the clock of a zone; zones written in an expression are looked up beforehand."""
    (at,) = map(plain, zones or (UTC,))
    at = zone(at) if type(at) is str else at
    if not isinstance(at, tzinfo):
        raise no_function(name, value, at)
    try:
        return value.astimezone(at)
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


def _getter(
    name: str,
    of_clock: Callable[[datetime], int],
    of_duration: Callable[[int], int] | None = None,
) -> Callable[..., int]:
    def get(value: Any, *zones: Any) -> int:
        value = plain(value)
        if type(value) is datetime:
            return of_clock(_clock(name, value, zones))
        if type(value) is timedelta and of_duration is not None and not zones:
            microseconds = value // _MICROSECOND
            found = of_duration(abs(microseconds))
            return -found if microseconds < 0 else found
        raise no_function(name, value, *("" if isinstance(each, tzinfo) else each for each in zones))

    return get


get_full_year: Final = _getter("getFullYear", lambda clock: clock.year)
get_month: Final = _getter("getMonth", lambda clock: clock.month - 1)
get_date: Final = _getter("getDate", lambda clock: clock.day)
get_day_of_month: Final = _getter("getDayOfMonth", lambda clock: clock.day - 1)
get_day_of_week: Final = _getter("getDayOfWeek", lambda clock: clock.isoweekday() % 7)
get_day_of_year: Final = _getter("getDayOfYear", lambda clock: clock.timetuple().tm_yday - 1)
get_hours: Final = _getter("getHours", lambda clock: clock.hour, lambda micros: micros // 3_600_000_000)
get_minutes: Final = _getter("getMinutes", lambda clock: clock.minute, lambda micros: micros // 60_000_000)
get_seconds: Final = _getter("getSeconds", lambda clock: clock.second, lambda micros: micros // 1_000_000)
get_milliseconds: Final = _getter(
    "getMilliseconds", lambda clock: clock.microsecond // 1000, lambda micros: micros // 1000 % 1000
)
