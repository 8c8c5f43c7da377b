"""The windows of an aggregation: what a team writes of them."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final
from zoneinfo import available_timezones

import msgspec

from tables.aggregations.errors import AggregationError

MAX_OVERLAP: Final = 1_440
"""Windows that one event is in at most: a day, hopping by the minute."""
MAX_MS: Final = 100 * 366 * 86_400_000

_Span = Annotated[int, msgspec.Meta(ge=0, le=MAX_MS)]
_Offset = Annotated[int, msgspec.Meta(ge=-MAX_MS, le=MAX_MS)]

_ZONES: Final = frozenset(available_timezones())


class WindowKind(Enum):
    """How time is cut."""

    NONE = "none"
    TUMBLING = "tumbling"
    HOPPING = "hopping"
    SESSION = "session"
    CALENDAR = "calendar"


class CalendarUnit(Enum):
    """What a calendar window is, in local time."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Weekday(Enum):
    """Day that a week begins with."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_FIELDS: Final = {
    WindowKind.NONE: (),
    WindowKind.TUMBLING: ("size_ms",),
    WindowKind.HOPPING: ("size_ms", "hop_ms"),
    WindowKind.SESSION: ("gap_ms",),
    WindowKind.CALENDAR: ("unit",),
}
_OPTIONAL: Final = {
    WindowKind.TUMBLING: ("offset_ms",),
    WindowKind.HOPPING: ("offset_ms",),
    WindowKind.CALENDAR: ("time_zone", "week_start"),
}


class WindowSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an aggregation cuts time; windows are half open, [start, end).

    Attributes:
        kind: ``none`` is one window for all time; a session ends `gap_ms` after its last event.
        size_ms: Length of a tumbling or hopping window.
        hop_ms: From the start of one hopping window to that of the next.
        gap_ms: An event so long after the last one, or longer, begins a new session.
        offset_ms: Shifts the starts of tumbling and hopping windows from multiples of size or hop.
        unit: Of a calendar window: a local day, week or month, of 23 or 25 hours too.
        time_zone: Zone of a calendar window, by its IANA name.
        week_start: Day that a calendar week begins with.
    """

    kind: WindowKind
    size_ms: _Span = 0
    hop_ms: _Span = 0
    gap_ms: _Span = 0
    offset_ms: _Offset = 0
    unit: CalendarUnit | None = None
    time_zone: str = "UTC"
    week_start: Weekday = Weekday.MONDAY

    def check(self) -> None:
        """Check that all that the kind needs is there, and nothing else.

        Raises:
            AggregationError: Names the field.
        """
        needed = _FIELDS[self.kind]
        for field in msgspec.structs.fields(self)[1:]:
            name, given = field.name, getattr(self, field.name) != field.default
            if name in needed and not given:
                raise _refused(name, f"is required for {self.kind.value} windows", "give it, above 0")
            if given and name not in (*needed, *_OPTIONAL.get(self.kind, ())):
                known = ", ".join((*needed, *_OPTIONAL.get(self.kind, ()))) or "nothing"
                raise _refused(name, f"is not for {self.kind.value} windows", f"they have {known}")
        if self.kind is WindowKind.HOPPING:
            self._check_hop()
        if self.time_zone not in _ZONES:
            raise _refused(
                "time_zone", f"no zone {self.time_zone!r}", "use a name such as UTC or America/New_York"
            )

    def _check_hop(self) -> None:
        if self.hop_ms > self.size_ms:
            raise _refused("hop_ms", "is longer than size_ms, events would be left out", "hop by less")
        if -(-self.size_ms // self.hop_ms) > MAX_OVERLAP:
            raise _refused("hop_ms", f"puts an event in more than {MAX_OVERLAP} windows", "hop by more")


def _refused(field: str, what: str, hint: str) -> AggregationError:
    return AggregationError(f"{field}: {what}", field=field, hint=hint)
