"""How an aggregation cuts event time into windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from agents.aggregator.domain.windowing.window import ALL_TIME, MAX_MS, Window

ByWindow = dict[Window, list[int]]


class Windows(ABC):
    """The windows of one definition.

    Args:
        grace_ms: How long after its end a window waits for late events, in event time.
    """

    def __init__(self, grace_ms: int) -> None:
        self.grace_ms = grace_ms

    @abstractmethod
    def windows_of(self, time_ms: int) -> tuple[Window, ...]:
        """Return the windows that an event is in, the earliest first."""

    def by_window(self, times_ms: Sequence[int]) -> ByWindow:
        """Return which of some events are in which window, by their place in `times_ms`."""
        found: ByWindow = {}
        for place, time_ms in enumerate(times_ms):
            for window in self.windows_of(time_ms):
                found.setdefault(window, []).append(place)
        return found

    def closes_at(self, window: Window) -> int:
        """Return the watermark from which on no more events are let in; `MAX_MS` for never."""
        return MAX_MS if window.end_ms >= MAX_MS else window.end_ms + self.grace_ms


class Unwindowed(Windows):
    """One window for all time, which never closes."""

    def windows_of(self, time_ms: int) -> tuple[Window, ...]:
        """Return all time."""
        del time_ms
        return (ALL_TIME,)

    def by_window(self, times_ms: Sequence[int]) -> ByWindow:
        """Return that all events are in it."""
        return {ALL_TIME: list(range(len(times_ms)))} if times_ms else {}


class Tumbling(Windows):
    """Windows of one length, side by side.

    Args:
        size_ms: Their length.
        offset_ms: Shifts their starts from multiples of it, counted from 1970.
        grace_ms: As of `Windows`.
    """

    def __init__(self, size_ms: int, offset_ms: int = 0, *, grace_ms: int = 0) -> None:
        super().__init__(grace_ms)
        self.size_ms = size_ms
        self.offset_ms = offset_ms

    def windows_of(self, time_ms: int) -> tuple[Window, ...]:
        """Return the window of an event."""
        # In Python the remainder is never negative: this holds before 1970.
        start_ms = time_ms - (time_ms - self.offset_ms) % self.size_ms
        return (Window(start_ms, start_ms + self.size_ms),)

    def starts_of(self, times_ms: Sequence[int]) -> list[int]:
        """Return the start of the window of each event."""
        size_ms, offset_ms = self.size_ms, self.offset_ms
        return [time_ms - (time_ms - offset_ms) % size_ms for time_ms in times_ms]

    def by_window(self, times_ms: Sequence[int]) -> ByWindow:
        """Return which events are in which window; one window is made for all that are in it."""
        if not times_ms:
            return {}
        (first,), (last,) = self.windows_of(min(times_ms)), self.windows_of(max(times_ms))
        if first == last:
            return {first: list(range(len(times_ms)))}
        by_start: dict[int, list[int]] = {}
        for place, start_ms in enumerate(self.starts_of(times_ms)):
            if start_ms in by_start:
                by_start[start_ms].append(place)
            else:
                by_start[start_ms] = [place]
        return {Window(start_ms, start_ms + self.size_ms): found for start_ms, found in by_start.items()}


class Hopping(Windows):
    """Windows of one length that begin more often than one ends.

    Args:
        size_ms: Their length.
        hop_ms: From the start of one to that of the next, at most `size_ms`.
        offset_ms: Shifts their starts from multiples of `hop_ms`, counted from 1970.
        grace_ms: As of `Windows`.
    """

    def __init__(self, size_ms: int, hop_ms: int, offset_ms: int = 0, *, grace_ms: int = 0) -> None:
        super().__init__(grace_ms)
        self.size_ms = size_ms
        self._hops = Tumbling(hop_ms, offset_ms)

    def windows_of(self, time_ms: int) -> tuple[Window, ...]:
        """Return all windows that an event is in."""
        size_ms, hop_ms = self.size_ms, self._hops.size_ms
        last_ms = time_ms - (time_ms - self._hops.offset_ms) % hop_ms
        first_ms = last_ms - (last_ms - time_ms + size_ms - 1) // hop_ms * hop_ms
        return tuple(
            Window(start_ms, start_ms + size_ms) for start_ms in range(first_ms, last_ms + 1, hop_ms)
        )

    def by_window(self, times_ms: Sequence[int]) -> ByWindow:
        """Return which events are in which window."""
        if self.size_ms % self._hops.size_ms:
            return super().by_window(times_ms)
        # All events between two starts are in the same windows.
        found: ByWindow = {}
        for hop, places in self._hops.by_window(times_ms).items():
            for window in self.windows_of(hop.start_ms):
                found.setdefault(window, []).extend(places)
        return found
