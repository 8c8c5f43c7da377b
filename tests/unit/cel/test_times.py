"""Timestamps and durations: how they are written, and their limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cel import EvaluationError, compile_expression

MOMENTS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)
SPANS = st.integers(-9_223_372_036_854_775, 9_223_372_036_854_775).map(
    lambda micros: timedelta(microseconds=micros)
)


def _value(expression: str, /, **event: Any) -> Any:
    return compile_expression(expression).evaluate({}, lambda: event)


@given(MOMENTS)
def test_a_timestamp_survives_its_text(moment: datetime) -> None:
    """Written as RFC 3339 and read again, any timestamp of the language is the same."""
    assert _value("timestamp(string(event.t))", t=moment) == moment


@given(SPANS)
def test_a_duration_survives_its_text(span: timedelta) -> None:
    """Written in seconds and read again, any duration of the language is the same."""
    assert _value("duration(string(event.d))", d=span) == span


@given(MOMENTS, st.sampled_from(["America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Europe/Paris"]))
def test_parts_of_a_timestamp_are_those_of_the_zones_clock(moment: datetime, name: str) -> None:
    """Summer time, odd offsets and days that a zone left out are those of the zone database."""
    try:
        clock = moment.astimezone(ZoneInfo(name))
    except OverflowError:
        with pytest.raises(EvaluationError, match="timestamp overflow"):
            _value("event.t.getHours(event.z)", t=moment, z=name)
        return
    found = _value(
        "[event.t.getFullYear(event.z), event.t.getMonth(event.z) + 1, event.t.getDate(event.z),"
        " event.t.getHours(event.z), event.t.getMinutes(event.z), event.t.getSeconds(event.z)]",
        t=moment,
        z=name,
    )

    assert found == [clock.year, clock.month, clock.day, clock.hour, clock.minute, clock.second]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('string(timestamp("2026-01-31T12:30:45.120Z"))', "2026-01-31T12:30:45.12Z"),
        ('string(timestamp("2026-01-31T01:00:00+05:30"))', "2026-01-30T19:30:00Z"),
        ('string(timestamp("0001-01-01T00:00:00Z"))', "0001-01-01T00:00:00Z"),
        ('string(timestamp("2026-01-31T00:00:00.123456789Z"))', "2026-01-31T00:00:00.123456Z"),
        ('string(duration("1h30m"))', "5400s"),
        ('string(duration("-1.5s"))', "-1.5s"),
        ('string(duration("1m1ms"))', "60.001s"),
        ('string(duration("1500ns"))', "0.000001s"),
        ('string(duration("-1999ns"))', "-0.000001s"),
        ('string(duration("+.5s"))', "0.5s"),
        ('string(duration("1.s"))', "1s"),
        ('string(duration("2µs"))', "0.000002s"),
        ('string(duration("0"))', "0s"),
        ('duration("1.234s").getMilliseconds()', 234),
        ('duration("-90s").getMinutes()', -1),
        ('timestamp("2023-12-25T00:00:00Z").getDayOfMonth("America/Los_Angeles")', 23),
        ('timestamp("2024-12-31T00:00:00Z").getDayOfYear()', 365),
        ('int(timestamp("1969-12-31T23:59:59.5Z"))', -1),
        ("string(timestamp(1769817600))", "2026-01-31T00:00:00Z"),
    ],
)
def test_times_are_written_in_one_way(text: str, expected: object) -> None:
    """Timestamps are in UTC, durations in seconds, without zeros at the end; microseconds are the finest."""
    assert _value(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("timestamp(event.s)", "not a timestamp; write RFC 3339, e.g. 2026-01-31T00:00:00Z"),
        ("duration(event.s)", "not a duration; write it with h, m, s, ms, us or ns, e.g. 1h30m"),
        ("event.t.getHours(event.s)", "no such time zone; write e.g. America/New_York or -05:00"),
        ("event.t.getHours(event.outside)", "no such time zone; write e.g. America/New_York or -05:00"),
        ("event.t.getHours(event.none)", "no such overload: getHours(timestamp, null)"),
        ("event.last + event.d", "timestamp overflow"),
        ("event.first - event.d", "timestamp overflow"),
        ("event.last - event.first", "duration overflow"),
        ("event.century + event.century + event.century", "duration overflow"),
        ("duration(event.ages)", "duration overflow"),
        ("timestamp(event.big)", "timestamp overflow"),
        ('event.last.getHours("+01:00")', "timestamp overflow"),
        ("event.t * 2", "no such overload: timestamp * int"),
        ("event.d > 5", "no such overload: duration > int"),
        ("event.t + 5", "no such overload: timestamp + int"),
    ],
)
def test_times_outside_of_the_language_are_errors(text: str, reason: str) -> None:
    """Years 1 to 9999, durations of 64 bits of nanoseconds, known zones: what is beyond fails in words."""
    event = {
        "s": "yesterday",
        "outside": "../../etc/passwd",
        "none": None,
        "t": datetime(2026, 1, 31, tzinfo=UTC),
        "d": timedelta(hours=1),
        "first": datetime(1, 1, 1, tzinfo=UTC),
        "last": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        "century": timedelta(days=36525),
        "ages": "3000000h",
        "big": 2**62,
    }

    with pytest.raises(EvaluationError) as failed:
        _value(text, **event)

    assert failed.value.message == reason


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-31", "2026-01-31T00:00:00", "2026-01-31 00:00:00Z", "2026-02-30T00:00:00Z"),
        *("2026-01-31T24:00:00Z", "2026-01-31T00:00:60Z", "2026-1-31T00:00:00Z", "2026-01-31t00:00:00z"),
        *("2026-01-31T00:00:00+0100", "2026-01-31T00:00:00+25:00", "0000-01-01T00:00:00Z", ""),
        *("0001-01-01T00:00:00+01:00", "٢٠٢٦-01-31T00:00:00Z", "2026-01-31T00:00:00Z\n"),
    ],
)
def test_a_timestamp_is_rfc_3339_and_nothing_else(text: str) -> None:
    """A date that could be read in two ways, or does not exist, is no timestamp."""
    with pytest.raises(EvaluationError, match="not a timestamp"):
        _value("timestamp(event.s)", s=text)
