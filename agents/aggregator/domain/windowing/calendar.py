"""Calendar windows: local days, weeks and months, whatever a clock change does to them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from agents.aggregator.domain.windowing.window import MAX_MS, MIN_MS, Window
from agents.aggregator.domain.windowing.windows import Windows
from tables.aggregations.window import CalendarUnit, Weekday, WindowSpec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 86_400_000
_MILLISECOND: Final = timedelta(milliseconds=1)
_DAY: Final = timedelta(days=1)
_WEEKDAYS: Final = tuple(Weekday)
_DAYS_PER_WEEK: Final = 7
_DECEMBER: Final = 12
_CACHED_DAYS: Final = 4_096

# A day less at either end: what lies beyond belongs to the first or the last window.
_FIRST_DAY: Final = date.min + 2 * _DAY
_LAST_DAY: Final = date.max - 2 * _DAY


class Calendar(Windows):
    """Local days, weeks or months.

    A day begins at the first moment that has its date on the clock; a time that the clock shows twice, by
    being put back over midnight, belongs to the day that has begun. So windows neither overlap nor leave
    gaps.

    Args:
        spec: Unit, time zone, and the day that weeks begin with.
        grace_ms: As of `Windows`.
    """

    def __init__(self, spec: WindowSpec, *, grace_ms: int = 0) -> None:
        super().__init__(grace_ms)
        self._zone = ZoneInfo(spec.time_zone)
        self._unit = spec.unit
        self._week_start = _WEEKDAYS.index(spec.week_start)
        self._around = lru_cache(maxsize=_CACHED_DAYS)(self._windows_around)

    def windows_of(self, time_ms: int) -> tuple[Window, ...]:
        """Return the window of an event."""
        windows = self._around(time_ms // _DAY_MS)
        return (next(window for window in windows if time_ms < window.end_ms),)

    def _windows_around(self, utc_day: int) -> tuple[Window, ...]:
        """Return the windows that share any moment with a day of UTC, in order and without gaps."""
        low, high = _FIRST_DAY.toordinal(), _LAST_DAY.toordinal()
        middle = min(max(_EPOCH.toordinal() + utc_day, low), high)
        first = date.fromordinal(max(middle - 2, low))
        last = date.fromordinal(min(middle + 2, high))
        starts = [self._first_of(first)]
        while starts[-1] <= last:
            starts.append(self._next(starts[-1]))
        times = [self._start_ms(each) for each in starts]
        return tuple(map(Window, times, times[1:]))

    def _first_of(self, day: date) -> date:
        """Return the first day of the window that has `day`."""
        if self._unit is CalendarUnit.MONTH:
            return day.replace(day=1)
        if self._unit is CalendarUnit.WEEK:
            back = (day.weekday() - self._week_start) % _DAYS_PER_WEEK
            return date.fromordinal(max(day.toordinal() - back, date.min.toordinal()))
        return day

    def _next(self, first: date) -> date:
        """Return the first day of the window after the one that begins with `first`."""
        days = _DAYS_PER_WEEK if self._unit is CalendarUnit.WEEK else 1
        if self._unit is CalendarUnit.MONTH:
            if first.year == date.max.year and first.month == _DECEMBER:
                return date.max
            return date(first.year + first.month // _DECEMBER, first.month % _DECEMBER + 1, 1)
        return date.fromordinal(min(first.toordinal() + days, date.max.toordinal()))

    def _start_ms(self, day: date) -> int:
        if day <= _FIRST_DAY:
            return MIN_MS
        if day > _LAST_DAY:
            return MAX_MS
        return start_of_day_ms(day, self._zone)


def start_of_day_ms(day: date, zone: ZoneInfo) -> int:
    """Return the first moment that has this date on the clock of a zone, or of a later one if none has."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    moment = midnight.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return (moment - _EPOCH) // _MILLISECOND
    return _first_moment(day, zone, moment)


def _first_moment(day: date, zone: ZoneInfo, by: datetime) -> int:
    """Return when clocks were put forward over the midnight of `day`, at the latest `by`."""
    high = (by - _EPOCH) // _MILLISECOND
    low = high - _DAY_MS
    while high - low > 1:
        middle = (low + high) // 2
        local = (_EPOCH + middle * _MILLISECOND).astimezone(zone).date()
        low, high = (low, middle) if local >= day else (middle, high)
    return high
