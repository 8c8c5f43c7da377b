"""Tumbling event-time windows, hour and day, in UTC."""

from __future__ import annotations

from typing import Final, NamedTuple

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
SIZES_MS: Final = {"hour": HOUR_MS, "day": DAY_MS}


class Window(NamedTuple):
    """One window: [start_ms, end_ms) in epoch milliseconds."""

    kind: str
    start_ms: int
    end_ms: int


def windows_of(event_time_ms: int) -> list[Window]:
    """Return the windows that an event belongs to, one of each kind."""
    return [
        Window(kind, start, start + size)
        for kind, size in SIZES_MS.items()
        for start in (event_time_ms - event_time_ms % size,)
    ]


def row_key(group: str, window: Window) -> str:
    """Return the key of a group's row for `window`; rows of a group sort by kind and time."""
    return f"{group}|{window.kind}|{window.start_ms:014d}"


def parse_row_key(key: str) -> tuple[str, Window]:
    """Return the group and window of a row key."""
    group, kind, start = key.rsplit("|", 2)
    return group, Window(kind, int(start), int(start) + SIZES_MS[kind])


def due_key(at_ms: int, row: str) -> str:
    """Return the key under which a row waits for the watermark to pass `at_ms`."""
    return f"{at_ms:014d}|{row}"
