"""A window of event time, and its key."""

from __future__ import annotations

from typing import Final, NamedTuple

MIN_MS: Final = -(1 << 63)
MAX_MS: Final = (1 << 63) - 1
"""Ends of time: 64 bits of milliseconds."""

_SHIFT: Final = 1 << 63
_DIGITS: Final = 16


class Window(NamedTuple):
    """The time [start_ms, end_ms), epoch milliseconds; windows sort by time."""

    start_ms: int
    end_ms: int

    @property
    def key(self) -> str:
        """Its text, for keys: the order of texts is that of windows, before 1970 too."""
        return f"{time_key(self.start_ms)}{time_key(self.end_ms)}"


ALL_TIME: Final = Window(MIN_MS, MAX_MS)
"""The one window of an aggregation without windows; it never closes."""


def time_key(time_ms: int) -> str:
    """Return a text of 16 characters; the order of texts is that of times."""
    return f"{time_ms + _SHIFT:0{_DIGITS}x}"


def parse_time_key(text: str) -> int:
    """Return the time that `time_key` made `text` of.

    Raises:
        ValueError: It made it of none.
    """
    if len(text) != _DIGITS:
        raise ValueError(f"a time has {_DIGITS} characters, not {len(text)}")
    return int(text, 16) - _SHIFT


def parse_window_key(text: str) -> Window:
    """Return the window whose key `text` is.

    Raises:
        ValueError: It is none.
    """
    return Window(parse_time_key(text[:_DIGITS]), parse_time_key(text[_DIGITS:]))
