"""Sessions: runs of events with no gap between them, joined in whatever order they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from agents.aggregator.domain.windowing.window import MIN_MS, Window
from agents.aggregator.domain.windowing.windows import ByWindow, Windows

T = TypeVar("T")


class Sessions(Windows):
    """Sessions; one event alone is the session [time, time + gap), and sessions that overlap are one.

    So an event exactly `gap_ms` after the last one begins a new session.

    Args:
        gap_ms: How long after its last event a session ends.
        grace_ms: As of `Windows`.
    """

    def __init__(self, gap_ms: int, *, grace_ms: int = 0) -> None:
        super().__init__(grace_ms)
        self.gap_ms = gap_ms

    def windows_of(self, time_ms: int) -> tuple[Window, ...]:
        """Return the session of one event alone; `merge_sessions` joins it to others."""
        return (Window(time_ms, time_ms + self.gap_ms),)

    def closes_at(self, window: Window) -> int:
        """Return the watermark from which on no event that is let in can join a session.

        An event is let in while the session that it makes alone has not ended, with the grace; the last that
        could join begins just before the end of `window`, and ends `gap_ms` later.
        """
        return super().closes_at(Window(window.start_ms, window.end_ms + self.gap_ms))

    def by_window(self, times_ms: Sequence[int]) -> ByWindow:
        """Return the sessions that some events make, and which events are in which."""
        runs: list[list[int]] = []
        end_ms = MIN_MS
        for place in sorted(range(len(times_ms)), key=times_ms.__getitem__):
            if times_ms[place] >= end_ms:
                runs.append([])
            runs[-1].append(place)
            end_ms = times_ms[place] + self.gap_ms
        return {Window(times_ms[run[0]], times_ms[run[-1]] + self.gap_ms): run for run in runs}


def merge_sessions(
    sessions: Iterable[tuple[Window, T]], merge: Callable[[T, T], T]
) -> list[tuple[Window, T]]:
    """Return sessions with those that overlap joined, in the order of time.

    The union of intervals is the same in whatever order and however often sessions are merged.

    Args:
        sessions: Sessions of one key and what is kept for each, in any order.
        merge: Gives what is kept for two that are joined.
    """
    found: list[tuple[Window, T]] = []
    for window, kept in sorted(sessions, key=lambda session: session[0]):
        if found and window.start_ms < found[-1][0].end_ms:
            last, before = found[-1]
            joined = Window(last.start_ms, max(last.end_ms, window.end_ms))
            found[-1] = joined, merge(before, kept)
        else:
            found.append((window, kept))
    return found
