"""Keys of the second stage's tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.messages import Source, Standing
from agents.aggregator.domain.rows import (
    INDEX,
    PENDING,
    ROWS,
    Heard,
    Progress,
    Row,
    build_key,
    group_of,
    group_prefix,
    index_key,
    parse_build_key,
    parse_index_key,
    parse_pending_key,
    parse_row_key,
    pending_key,
    row_key,
    source_key,
)
from agents.aggregator.domain.windowing import ALL_TIME, Window

PARTS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.text(st.characters(codec="utf-8")),
    st.sampled_from(["|", '"|', "]|", '","', "/", "~"]),
)
GROUPS = st.lists(PARTS, min_size=1, max_size=3).map(group_key)
TIMES = st.integers(-(10**14), 10**15)
WINDOWS = st.one_of(
    st.just(ALL_TIME),
    st.builds(lambda start, size: Window(start, start + size), TIMES, st.integers(1, 10**12)),
)
BUILD = "a.b-c_d~12"


@given(GROUPS, WINDOWS, TIMES)
def test_keys_say_what_they_were_made_of(group: str, window: Window, due_ms: int) -> None:
    """Whatever text the group holds: separators too."""
    key = row_key(BUILD, group, window)
    assert parse_row_key(key) == parse_index_key(index_key(BUILD, window, group)) == (BUILD, group, window)
    assert parse_pending_key(pending_key(due_ms, key)) == (due_ms, key)
    assert group_of(ROWS, key) == group_of(INDEX, index_key(BUILD, window, group)) == group
    assert group_of(PENDING, pending_key(due_ms, key)) == group
    assert parse_build_key(build_key(7, BUILD)) == (7, BUILD)
    assert parse_build_key(build_key(7, "")) == (7, "")


@given(GROUPS, GROUPS, WINDOWS)
def test_a_prefix_is_of_one_group(one: str, other: str, window: Window) -> None:
    """No key of another group begins as those of a group do."""
    assert row_key(BUILD, other, window).startswith(group_prefix(BUILD, one)) == (one == other)


@given(GROUPS, st.lists(WINDOWS))
def test_keys_go_by_the_end_of_windows(group: str, windows: list[Window]) -> None:
    """Rows of a group and rows of the index, before 1970 too."""
    for key, parse in (
        (lambda window: row_key(BUILD, group, window), parse_row_key),
        (lambda window: index_key(BUILD, window, group), parse_index_key),
    ):
        ends = [parse(each).window.end_ms for each in sorted(map(key, windows))]
        assert ends == sorted(ends)


@pytest.mark.parametrize("key", ["", "x", "a~1|[1]", "a~1|[1]|zz", "|", "0|0|0"])
def test_other_texts_are_no_keys(key: str) -> None:
    """Of the tables that go by group: the table then has no such row."""
    for table in (ROWS, INDEX, PENDING):
        with pytest.raises(KeyError):
            group_of(table, key)


def test_rows_are_what_the_table_holds() -> None:
    """Of a row, and of the progress of a build."""
    row = Row(3, [3, "1.5"], 80, 5, 6)
    assert Row.of([*row]) == row
    progress = Progress(sources={"t/0": Heard(5, Standing.IDLE)}, partitions={"t": 1}, watermark_ms=4)
    assert Progress.of(progress.row()) == progress
    assert Progress.of(None) == Progress()


def test_history_is_a_source_of_its_own() -> None:
    """Beside the live one of the same partition."""
    sources = [Source("t", 0), Source("t", 0, history=True), Source("t", 1)]
    assert len(set(map(source_key, sources))) == 3
