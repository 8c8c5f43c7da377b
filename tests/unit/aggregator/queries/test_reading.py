"""Reading the tables of a partition, against a dict of the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.rows import INDEX, ROWS
from agents.aggregator.domain.windowing import ALL_TIME, Window
from agents.aggregator.queries.reading import (
    Span,
    groups_of_window,
    latest_of_group,
    place,
    rows_of_group,
    window_at,
    windows_of,
)
from fleet.lane.store import SLICE_ROWS
from tests.support.queried import SESSIONS, TUMBLING, Key, World, a_world

KEYS = st.sampled_from([("a", 1), ("a", None), (None, None), ("a|b", -1), ('"]|', 0), ("", 10**18)])
HOURS = st.integers(-3, 12)
TIMES = st.integers(-5_000, 20_000)
LIMITS = st.integers(1, 5)
HOUR_MS = 3_600_000


def hours(hour: int) -> Window:
    """Return an hour since 1970."""
    return Window(hour * HOUR_MS, (hour + 1) * HOUR_MS)


TUMBLED = st.sets(st.tuples(KEYS, HOURS.map(hours)), max_size=30)
SESSION_ROWS = st.sets(
    st.tuples(
        KEYS, st.builds(lambda start, size: Window(start, start + 1_000 + size), TIMES, st.integers(0, 3))
    ),
    max_size=30,
)


def filled(rows: set[tuple[Key, Window]], windows: Mapping[str, Any] = TUMBLING) -> World:
    """Return a world of one partition with these rows."""
    world = a_world(windows, partitions=1)
    for key, window in rows:
        world.put(key, window, ["1.00"])
    return world


@settings(deadline=None, max_examples=50)
@given(TUMBLED, KEYS, st.tuples(TIMES, TIMES).map(sorted), LIMITS)
def test_rows_of_a_group_come_in_order_of_time_page_by_page(
    rows: set[tuple[Key, Window]], key: Key, ends: list[int], limit: int
) -> None:
    """All that begin in the range, no other group's, each once, however small the pages."""
    world = filled(rows)
    span = Span(ends[0] * 1_000, ends[1] * 1_000)
    table, build = world.stores[0][ROWS], world.compiled.id
    found: list[Window] = []
    after = ""
    while page := rows_of_group(table, build, group_key(key), span, after=after, limit=limit):
        found += [window for window, _ in page]
        after = place(build, found[-1], "")[:-1]
    assert found == sorted(window for each, window in rows if each == key and span.holds(window))


@settings(deadline=None, max_examples=50)
@given(TUMBLED, KEYS)
def test_the_latest_row_is_the_newest_window(rows: set[tuple[Key, Window]], key: Key) -> None:
    """Before 1970 too; None for a group without any."""
    world = filled(rows)
    newest = latest_of_group(world.stores[0][ROWS], world.compiled.id, group_key(key))
    assert (None if newest is None else newest[0]) == max(
        (w for each, w in rows if each == key), default=None
    )


def test_the_latest_row_without_windows_is_that_of_all_time() -> None:
    """Its window ends at the end of time."""
    world = filled({(("a", 1), ALL_TIME)}, {"kind": "none"})
    newest = latest_of_group(world.stores[0][ROWS], world.compiled.id, group_key(("a", 1)))
    assert newest is not None
    assert newest[0] == ALL_TIME


@settings(deadline=None, max_examples=50)
@given(st.one_of(TUMBLED, SESSION_ROWS), st.tuples(TIMES, TIMES).map(sorted), st.data())
def test_windows_come_once_each_in_the_order_of_their_ends(
    rows: set[tuple[Key, Window]], ends: list[int], data: st.DataObject
) -> None:
    """Whatever groups they have; from any of them on."""
    world = filled(rows)
    span = Span(*ends)
    index, build = world.stores[0][INDEX], world.compiled.id
    wanted = sorted({w for _, w in rows if span.holds(w)}, key=lambda w: (w.end_ms, w.start_ms))
    assert [w for some in windows_of(index, build, span) for w in some] == wanted
    if wanted:
        at = data.draw(st.integers(0, len(wanted) - 1))
        after = place(build, wanted[at], "")[:-1]
        assert [w for some in windows_of(index, build, span, after=after) for w in some] == wanted[at + 1 :]


@settings(deadline=None, max_examples=50)
@given(SESSION_ROWS, TIMES, st.data())
def test_sessions_are_found_by_when_they_begin(
    rows: set[tuple[Key, Window]], start_ms: int, data: st.DataObject
) -> None:
    """They end at different times; in the order of ends and then of groups, from any of them on."""
    world = filled(rows, SESSIONS)
    starts = sorted({window.start_ms for _, window in rows} | {start_ms})
    start_ms = data.draw(st.sampled_from(starts))
    index, build = world.stores[0][INDEX], world.compiled.id
    wanted = sorted(
        ((window, group_key(key)) for key, window in rows if window.start_ms == start_ms),
        key=lambda row: (row[0].end_ms, row[1]),
    )
    assert [row for some in groups_of_window(index, build, start_ms, None) for row in some] == wanted
    if wanted:
        at = data.draw(st.integers(0, len(wanted) - 1))
        after = place(build, *wanted[at])
        rest = groups_of_window(index, build, start_ms, None, after=after)
        assert [row for some in rest for row in some] == wanted[at + 1 :]


def test_a_window_of_many_groups_comes_in_slices() -> None:
    """No slice is longer than what may be read at once, and together they are all."""
    world = a_world(partitions=1)
    for number in range(2 * SLICE_ROWS + 1):
        world.put((f"{number:05}", None), hours(1), ["1.00"])
    index, build = world.stores[0][INDEX], world.compiled.id
    slices = list(groups_of_window(index, build, HOUR_MS, hours(1)))
    assert [len(each) for each in slices] == [SLICE_ROWS, SLICE_ROWS, 1]
    assert len({group for some in slices for _, group in some}) == 2 * SLICE_ROWS + 1


@pytest.mark.parametrize(
    ("windows", "start_ms", "found"),
    [
        (TUMBLING, HOUR_MS, Window(HOUR_MS, 2 * HOUR_MS)),
        (TUMBLING, HOUR_MS + 1, None),
        ({"kind": "hopping", "size_ms": HOUR_MS, "hop_ms": 60_000}, 60_000, Window(60_000, HOUR_MS + 60_000)),
        ({"kind": "hopping", "size_ms": HOUR_MS, "hop_ms": 60_000}, 60_001, None),
        (
            {"kind": "calendar", "unit": "day", "time_zone": "America/New_York"},
            1_772_946_000_000,
            Window(1_772_946_000_000, 1_773_028_800_000),
        ),
    ],
    ids=["hour", "in an hour", "hop", "in a hop", "a day of 23 hours"],
)
def test_a_window_is_named_by_its_start(
    windows: Mapping[str, Any], start_ms: int, found: Window | None
) -> None:
    """Where windows are cut by the clock, at most one begins at a time."""
    assert window_at(a_world(windows).compiled.windows, start_ms) == found
