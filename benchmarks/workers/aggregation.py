"""What a worker is told to aggregate."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import msgspec

Operator: TypeAlias = Literal["==", "!=", "<", ">=", "startsWith"]
Function: TypeAlias = Literal["count", "sum", "min", "max"]

EVENT_TIME = "event_time"
CHARGE = "total_charge"
"""What all functions but ``count`` are of."""


class Comparison(NamedTuple):
    """One comparison; in JSON ``[path, operator, value]``.

    Attributes:
        path: A CloudEvents attribute without ``ce_``, or a field of the claim, e.g. ``payer.id``.
        operator: How it is compared.
        value: With what: a text, or a whole number where the field is a number.
    """

    path: str
    operator: Operator
    value: str | int


class Window(msgspec.Struct, frozen=True):
    """Windows of event time, aligned to the epoch; tumbling where `advance_ms` is `size_ms`."""

    size_ms: int
    advance_ms: int
    grace_ms: int

    def starts(self, event_time_ms: int) -> range:
        """Return the starts of the windows that hold `event_time_ms`, in order."""
        last = event_time_ms - event_time_ms % self.advance_ms
        return range(last - self.size_ms + self.advance_ms, last + 1, self.advance_ms)


class Session(msgspec.Struct, frozen=True):
    """Sessions of event time: an event `gap_ms` or longer after the last one begins another."""

    gap_ms: int
    grace_ms: int


class Aggregation(msgspec.Struct, frozen=True, kw_only=True):
    """Of the events for which all `tests` hold, `functions` of the charge by group and window or session.

    Attributes:
        name: Unique name, of letters, digits and ``-``.
        group: Paths of texts; a group is named by them with ``|`` between.
        functions: What is computed, in this order.
        window: Its windows; None for sessions.
        session: Its sessions; None for windows.
        tests: All must hold.
    """

    name: str
    group: tuple[str, ...]
    functions: tuple[Function, ...]
    window: Window | None = None
    session: Session | None = None
    tests: tuple[Comparison, ...] = ()
