"""Tumbling and hopping windows and none, against a slow reference; keys of windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.aggregator.domain.windowing import (
    ALL_TIME,
    Window,
    Windows,
    parse_time_key,
    parse_window_key,
    parse_windows,
    time_key,
)
from agents.aggregator.domain.windowing.window import MAX_MS, MIN_MS
from tables.aggregations.window import WindowKind, WindowSpec

# Years 1 to 9999, and dense around 1970, where signs change.
TIMES = st.integers(-62_135_596_800_000, 253_402_300_799_999) | st.integers(-200, 200)
SMALL = st.integers(1, 50)


def tumbling(size_ms: int, offset_ms: int = 0, grace_ms: int = 0) -> Windows:
    """Return tumbling windows."""
    spec = WindowSpec(kind=WindowKind.TUMBLING, size_ms=size_ms, offset_ms=offset_ms)
    return parse_windows(spec, grace_ms)


def hopping(size_ms: int, hop_ms: int, offset_ms: int = 0) -> Windows:
    """Return hopping windows."""
    spec = WindowSpec(kind=WindowKind.HOPPING, size_ms=size_ms, hop_ms=hop_ms, offset_ms=offset_ms)
    return parse_windows(spec, 0)


def plain_by_window(windows: Windows, times_ms: list[int]) -> dict[Window, list[int]]:
    """Return which events are in which window, one by one."""
    found: dict[Window, list[int]] = {}
    for place, time_ms in enumerate(times_ms):
        for window in windows.windows_of(time_ms):
            found.setdefault(window, []).append(place)
    return found


@given(time_ms=TIMES, size_ms=SMALL, offset_ms=st.integers(-60, 60))
def test_each_event_is_in_one_tumbling_window(time_ms: int, size_ms: int, offset_ms: int) -> None:
    """The one that covers it, which begins at a multiple of the size from the offset, before 1970 too."""
    (window,) = tumbling(size_ms, offset_ms).windows_of(time_ms)
    assert window.start_ms <= time_ms < window.end_ms == window.start_ms + size_ms
    assert (window.start_ms - offset_ms) % size_ms == 0


@given(time_ms=TIMES, size_ms=SMALL, hop_ms=SMALL, offset_ms=st.integers(-60, 60))
def test_each_event_is_in_all_hopping_windows_that_cover_it(
    time_ms: int, size_ms: int, hop_ms: int, offset_ms: int
) -> None:
    """All starts at multiples of the hop are tried, also where the size is no multiple of it."""
    hop_ms = min(hop_ms, size_ms)
    expected = tuple(
        Window(start_ms, start_ms + size_ms)
        for start_ms in range(time_ms - size_ms - hop_ms, time_ms + hop_ms + 1)
        if (start_ms - offset_ms) % hop_ms == 0 and start_ms <= time_ms < start_ms + size_ms
    )
    assert hopping(size_ms, hop_ms, offset_ms).windows_of(time_ms) == expected


@given(times_ms=st.lists(st.integers(-300, 300), max_size=40), size_ms=SMALL, hop_ms=SMALL, offset_ms=SMALL)
def test_all_events_of_a_chunk_at_once(
    times_ms: list[int], size_ms: int, hop_ms: int, offset_ms: int
) -> None:
    """The short way gives what one event after the other gives."""
    each_way = [tumbling(size_ms, offset_ms), hopping(size_ms, min(hop_ms, size_ms), offset_ms)]
    each_way.append(parse_windows(WindowSpec(kind=WindowKind.NONE), 0))
    for windows in each_way:
        found = windows.by_window(times_ms)
        assert {window: sorted(places) for window, places in found.items()} == plain_by_window(
            windows, times_ms
        )


@pytest.mark.parametrize(
    ("time_ms", "start_ms"), [(-1, -60_000), (0, 0), (59_999, 0), (60_000, 60_000), (-60_000, -60_000)]
)
def test_an_event_at_the_edge_is_in_the_later_window(time_ms: int, start_ms: int) -> None:
    """Windows are half open, on both sides of 1970."""
    assert tumbling(60_000).windows_of(time_ms) == (Window(start_ms, start_ms + 60_000),)
    starts = [window.start_ms for window in hopping(60_000, 30_000).windows_of(time_ms)]
    assert all(start <= time_ms < start + 60_000 for start in starts)
    assert len(starts) == 2


def test_a_window_closes_when_its_grace_is_over() -> None:
    """The watermark counts; without windows nothing ever closes."""
    assert tumbling(60_000, grace_ms=5_000).closes_at(Window(0, 60_000)) == 65_000
    assert parse_windows(WindowSpec(kind=WindowKind.NONE), 5_000).closes_at(ALL_TIME) == MAX_MS


def test_without_windows_there_is_all_time() -> None:
    """For every event the same window."""
    windows = parse_windows(WindowSpec(kind=WindowKind.NONE), 0)
    assert windows.windows_of(-5) == windows.windows_of(10**15) == (ALL_TIME,)
    assert windows.by_window([]) == {}


@given(one=st.tuples(TIMES, TIMES), other=st.tuples(TIMES, TIMES))
def test_keys_sort_as_windows_do(one: tuple[int, int], other: tuple[int, int]) -> None:
    """By their bytes, and the window is read back from its key."""
    first, second = Window(*one), Window(*other)
    assert (first.key.encode() < second.key.encode()) == (first < second)
    assert parse_window_key(first.key) == first


@pytest.mark.parametrize("time_ms", [MIN_MS, -1, 0, 1, MAX_MS])
def test_times_are_read_back_from_their_keys(time_ms: int) -> None:
    """From end to end, always as long."""
    assert parse_time_key(time_key(time_ms)) == time_ms
    assert len(time_key(time_ms)) == 16


@pytest.mark.parametrize("text", ["", "8", "g" * 16, "8" * 17])
def test_other_texts_are_no_times(text: str) -> None:
    """Such a key is an error, not a time."""
    with pytest.raises(ValueError, match=r"a time has|invalid literal"):
        parse_time_key(text)
