"""Calendar windows, against a reference that looks at every minute on the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.aggregator.domain.windowing import Window, Windows, parse_windows
from agents.aggregator.domain.windowing.window import MAX_MS, MIN_MS
from tables.aggregations.window import CalendarUnit, Weekday, WindowKind, WindowSpec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",  # clocks change by half an hour
    "America/Sao_Paulo",  # until 2019 clocks were put forward over midnight
    "America/St_Johns",  # until 2011 they were put back over midnight, a minute past it
    "Asia/Kathmandu",
    "Pacific/Apia",  # had no 30 December 2011
]


@lru_cache
def calendar(zone: str, unit: CalendarUnit = CalendarUnit.DAY, start: Weekday = Weekday.MONDAY) -> Windows:
    """Return calendar windows."""
    spec = WindowSpec(kind=WindowKind.CALENDAR, unit=unit, time_zone=zone, week_start=start)
    return parse_windows(spec, 0)


def ms(moment: datetime) -> int:
    """Return epoch milliseconds."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def at(zone: str, *parts: int) -> int:
    """Return the epoch milliseconds of a time on the clock of a zone."""
    return ms(datetime(*parts, tzinfo=ZoneInfo(zone)))  # type: ignore[arg-type,misc]


def local_date(time_ms: int, zone: str) -> date:
    """Return the date on the clock of a zone."""
    return (EPOCH + timedelta(milliseconds=time_ms)).astimezone(ZoneInfo(zone)).date()


def window_of(windows: Windows, time_ms: int) -> Window:
    """Return the one window of an event."""
    (window,) = windows.windows_of(time_ms)
    assert window.start_ms <= time_ms < window.end_ms
    return window


@pytest.mark.parametrize("zone", ZONES)
@given(minute=st.integers(-3_000_000, 40_000_000))
@example(minute=25_371_300)  # 2018-03-28
@example(minute=22_088_000)  # 2011-12-30
def test_a_day_is_what_the_clock_says(zone: str, minute: int) -> None:
    """Its first minute has its date and the one before has an earlier one; the next begins where it ends."""
    time_ms = minute * 60_000
    day = window_of(calendar(zone), time_ms)
    starts = local_date(day.start_ms, zone)
    assert local_date(day.start_ms - 1, zone) < starts
    assert local_date(day.end_ms, zone) > starts
    # What the clock shows a second time belongs to the day that has begun.
    assert starts >= local_date(time_ms, zone)
    assert window_of(calendar(zone), day.end_ms).start_ms == day.end_ms
    assert window_of(calendar(zone), day.start_ms - 1).end_ms == day.start_ms


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("unit", [CalendarUnit.WEEK, CalendarUnit.MONTH])
@given(day=st.dates(date(1900, 1, 1), date(2100, 1, 1)), start=st.sampled_from(Weekday))
def test_weeks_and_months_are_whole_days(zone: str, unit: CalendarUnit, day: date, start: Weekday) -> None:
    """They begin with the first day of theirs and end where the day before the next begins."""
    if unit is CalendarUnit.WEEK:
        first = day - timedelta(days=(day.weekday() - list(Weekday).index(start)) % 7)
        following = first + timedelta(days=7)
    else:
        first = day.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
    noon_ms = at(zone, day.year, day.month, day.day, 12)
    found = window_of(calendar(zone, unit, start), noon_ms)
    days = [window_of(calendar(zone), at(zone, d.year, d.month, d.day, 12)) for d in (first, following)]
    assert found == Window(days[0].start_ms, days[1].start_ms)


@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        ("America/New_York", (2026, 3, 8, 12), 23),
        ("America/New_York", (2026, 11, 1, 12), 25),
        ("America/New_York", (2026, 7, 1, 12), 24),
        ("Europe/Berlin", (2026, 3, 29, 12), 23),
        ("Europe/Berlin", (2026, 10, 25, 12), 25),
        ("Australia/Lord_Howe", (2026, 4, 5, 12), 24.5),
        ("Australia/Lord_Howe", (2026, 10, 4, 12), 23.5),
        ("America/Sao_Paulo", (2018, 11, 4, 12), 23),
        ("America/Sao_Paulo", (2018, 2, 17, 12), 25),
        ("America/St_Johns", (2010, 11, 7, 12), 25),
        ("Asia/Kathmandu", (1986, 1, 1, 12), 23.75),
        ("Pacific/Apia", (2011, 12, 29, 12), 24),
        ("UTC", (1969, 12, 31, 12), 24),
    ],
)
def test_a_day_has_the_hours_that_its_clock_has(zone: str, noon: tuple[int, ...], hours: float) -> None:
    """23 or 25 where clocks change, also over midnight and by less than an hour."""
    day = window_of(calendar(zone), at(zone, *noon))
    assert day.end_ms - day.start_ms == hours * HOUR_MS


def test_a_day_that_midnight_is_missing_from_begins_an_hour_later() -> None:
    """In São Paulo the clock went from 23:59 to 01:00; both edges are tested."""
    zone = "America/Sao_Paulo"
    day = window_of(calendar(zone), at(zone, 2018, 11, 4, 12))
    assert day.start_ms == at(zone, 2018, 11, 4, 1)
    assert window_of(calendar(zone), day.start_ms - 1).end_ms == day.start_ms


def test_a_day_whose_first_half_hour_is_missing() -> None:
    """In Toronto the clock went from 23:30 to 00:30 in 1919: the day begins there, not at 01:00."""
    zone = "America/Toronto"
    day = window_of(calendar(zone), at(zone, 1919, 3, 31, 12))
    assert day.start_ms == at(zone, 1919, 3, 31, 0, 30)
    assert window_of(calendar(zone), day.start_ms - 1).end_ms == day.start_ms


def test_a_missing_date_has_no_window() -> None:
    """Samoa went from 29 to 31 December: the one ends where the other begins."""
    zone = "Pacific/Apia"
    before = window_of(calendar(zone), at(zone, 2011, 12, 29, 12))
    assert window_of(calendar(zone), before.end_ms).start_ms == at(zone, 2011, 12, 31)
    assert local_date(before.end_ms, zone) == date(2011, 12, 31)


def test_windows_follow_each_other_over_years() -> None:
    """Without gaps and overlaps, month by month, from before 1970."""
    windows = calendar("America/New_York", CalendarUnit.MONTH)
    starts = [window_of(windows, at("UTC", 1965 + each // 12, each % 12 + 1, 15)) for each in range(240)]
    assert all(one.end_ms == other.start_ms for one, other in pairwise(starts))


@pytest.mark.parametrize("unit", CalendarUnit)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Apia"])
def test_the_ends_of_the_calendar(zone: str, unit: CalendarUnit) -> None:
    """Times that Python has no date for are in the first and the last window; there is one for every time."""
    windows = calendar(zone, unit)
    first, last = date.min, date.max
    for moment in (
        ms(datetime(first.year, 1, 1, tzinfo=UTC)),
        ms(datetime(last.year, 12, 31, 23, tzinfo=UTC)),
    ):
        window_of(windows, moment)
    assert window_of(windows, MIN_MS).start_ms == MIN_MS
    assert window_of(windows, MAX_MS - 1).end_ms == MAX_MS
