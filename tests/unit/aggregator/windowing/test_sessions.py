"""Sessions: the union of intervals, whatever the order and tree of merges."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.aggregator.domain.windowing import Window, Windows, merge_sessions, parse_windows
from tables.aggregations.window import WindowKind, WindowSpec

GAP_MS = 10


def sessions(gap_ms: int = GAP_MS) -> Windows:
    """Return session windows."""
    return parse_windows(WindowSpec(kind=WindowKind.SESSION, gap_ms=gap_ms), 0)


def plain_sessions(times_ms: list[int], gap_ms: int) -> list[tuple[Window, list[int]]]:
    """Return the sessions of events, in the order of time, each with the times in it."""
    found: list[list[int]] = []
    for time_ms in sorted(times_ms):
        if found and time_ms - found[-1][-1] < gap_ms:
            found[-1].append(time_ms)
        else:
            found.append([time_ms])
    return [(Window(times[0], times[-1] + gap_ms), times) for times in found]


@given(times_ms=st.lists(st.integers(-200, 200), max_size=30), gap_ms=st.integers(1, 40))
def test_a_chunk_makes_its_sessions(times_ms: list[int], gap_ms: int) -> None:
    """Each event is in one, however the chunk is ordered."""
    found = sessions(gap_ms).by_window(times_ms)
    times = [(window, sorted(times_ms[place] for place in places)) for window, places in found.items()]
    assert times == plain_sessions(times_ms, gap_ms)


@given(
    times_ms=st.lists(st.integers(-200, 200), min_size=1, max_size=30),
    gap_ms=st.integers(1, 40),
    random=st.randoms(use_true_random=False),
)
def test_any_order_and_tree_of_merges_gives_the_same_sessions(
    times_ms: list[int], gap_ms: int, random: Random
) -> None:
    """A late event may join two sessions; none is ever split."""
    expected = plain_sessions(times_ms, gap_ms)
    parts = [[(window, [time_ms])] for time_ms in times_ms for window in sessions(gap_ms).windows_of(time_ms)]
    while len(parts) > 1:
        one, other = (parts.pop(random.randrange(len(parts))) for _ in range(2))
        parts.append(merge_sessions([*one, *other], lambda kept, more: sorted(kept + more)))
    assert parts[0] == expected


@pytest.mark.parametrize(("distance_ms", "count"), [(GAP_MS - 1, 1), (GAP_MS, 2), (GAP_MS + 1, 2)])
def test_an_event_a_gap_after_the_last_begins_a_new_session(distance_ms: int, count: int) -> None:
    """A session is half open: its end, the last event and the gap, is not in it."""
    assert len(sessions().by_window([-3, -3 + distance_ms])) == count


def test_a_long_session_takes_no_longer_per_event() -> None:
    """A chunk of one key may be one session of many thousand events."""
    (window,) = sessions().by_window(range(50_000))
    assert window == Window(0, 50_000 - 1 + GAP_MS)
