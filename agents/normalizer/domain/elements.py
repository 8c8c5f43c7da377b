"""Read element values strictly: an X12 date, time, number or code, or the error that names the element.

Source: ASC X12.6, data element types N0, R, DT, TM, ID and AN.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.normalizer.domain.tokenizer import Segment

_CACHED_VALUES = 4096
_count = re.compile(r"[0-9]{1,10}").fullmatch
_digits_8 = re.compile(r"[0-9]{8}").fullmatch
_money = re.compile(r"(?:[0-9]{1,16}(?:\.[0-9]{0,2})?|\.[0-9]{1,2})").fullmatch
_quantity = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{0,3})?|\.[0-9]{1,3})").fullmatch
_time = re.compile(r"([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{0,2}))?").fullmatch
_npi = re.compile(r"[0-9]{10}").fullmatch

Period = tuple[date, date]


def required(segment: Segment, number: int) -> str:
    """Return an element that must not be empty, without the blanks around it."""
    value = segment.get(number).strip()
    if not value:
        raise segment.error("bad_value", f"{_name(segment, number)} is empty")
    return value


def count(segment: Segment, number: int) -> int:
    """Return a count or sequence number (type N0, not negative)."""
    value = segment.get(number)
    if not _count(value):
        raise segment.error("bad_value", f"{_name(segment, number)} is not a whole number")
    return int(value)


def money(segment: Segment, number: int) -> Decimal:
    """Return an amount in US dollars, zero or more, at most two decimals (type R)."""
    value = segment.get(number)
    if not _money(value):
        raise segment.error(
            "bad_value", f"{_name(segment, number)} is not an amount with at most two decimals"
        )
    return Decimal(value)


def quantity(segment: Segment, number: int) -> Decimal:
    """Return a quantity, zero or more, at most three decimals (type R)."""
    value = segment.get(number)
    if not _quantity(value):
        raise segment.error(
            "bad_value", f"{_name(segment, number)} is not a number with at most three decimals"
        )
    return Decimal(value)


def one_of(segment: Segment, number: int, allowed: frozenset[str]) -> str:
    """Return a code of a closed list."""
    value = segment.get(number)
    if value not in allowed:
        raise segment.error(
            "bad_value", f"{_name(segment, number)} is not one of {', '.join(sorted(allowed))}"
        )
    return value


def npi(segment: Segment, number: int) -> str:
    """Return a national provider identifier: ten digits. The check digit is not judged."""
    value = segment.get(number)
    if not _npi(value):
        raise segment.error("bad_value", f"{_name(segment, number)} is not a ten-digit NPI")
    return value


def day(segment: Segment, number: int) -> date:
    """Return a date written CCYYMMDD."""
    found = _date(segment.get(number))
    if found is None:
        raise segment.error("bad_value", f"{_name(segment, number)} is not a date CCYYMMDD")
    return found


def period(segment: Segment, format_number: int) -> Period:
    """Return first and last day of a date (D8) or date range (RD8), whose format is the given element."""
    kind, value = segment.get(format_number), segment.get(format_number + 1)
    name = _name(segment, format_number + 1)
    if kind not in {"D8", "RD8"}:
        raise segment.error("bad_value", f"{_name(segment, format_number)} is neither D8 nor RD8")
    first, last = (value, value) if kind == "D8" else value.partition("-")[::2]
    begin, end = _date(first), _date(last)
    if begin is None or end is None:
        raise segment.error("bad_value", f"{name} is not a date CCYYMMDD or a range of two")
    if begin > end:
        raise segment.error("bad_value", f"{name} ends before it begins")
    return begin, end


def moment(segment: Segment, date_number: int, time_number: int) -> datetime:
    """Return date and time of day (HHMM, HHMMSS, HHMMSSD or HHMMSSDD); X12 names no zone, so UTC."""
    on = day(segment, date_number)
    match = _time(segment.get(time_number))
    try:
        if match:
            hour, minute, second, fraction = match.groups(default="")
            microsecond = int(f"{fraction:0<6}")
            return datetime(
                on.year, on.month, on.day, int(hour), int(minute), int(second or 0), microsecond, tzinfo=UTC
            )
    except ValueError:
        pass
    raise segment.error("bad_value", f"{_name(segment, time_number)} is not a time HHMM[SS[D[D]]]")


@lru_cache(maxsize=_CACHED_VALUES)
def _date(value: str) -> date | None:
    if not _digits_8(value):
        return None
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return None


def _name(segment: Segment, number: int) -> str:
    return f"{segment.id}{number:02}"
