"""The second stage filled with rows, in miniature, and which of its counts are taken as right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from benchmarks.figures import Kept
from benchmarks.goals import STATE_MIB, STATE_ROWS, of_state
from benchmarks.measure import MeasureError
from benchmarks.second_stage import OPEN_WINDOWS, WINDOWS, Second, share_of
from benchmarks.state import SEEN_AT, measure, refuse_wrong
from fleet.lane.stores import Stores


def kept(windows: int, groups: int = 5, **fields: float) -> Kept:
    """Return what is right after so many windows, with these fields changed."""
    rows = min(windows, WINDOWS) * groups
    closed = max(0, windows - 1 - OPEN_WINDOWS) * groups
    found = Kept(
        rows=rows,
        written=windows * groups,
        closed=closed,
        expired=windows * groups - rows,
        rss_mib=100.0,
        disk_mib=1.0,
        rows_per_s=1.0,
        rows_per_cpu_s=1.0,
    )
    return msgspec.structs.replace(found, **fields)


def test_rows_come_close_and_expire(tmp_path: Path) -> None:
    """A window of rows expires for each that comes once all are there; what is on disk is gone afterwards."""
    said: list[str] = []
    seen = asyncio.run(measure(2 * WINDOWS, tmp_path / "state", 16, said.append))
    assert [each.written // 2 for each in seen] == [0, *SEEN_AT]
    last = seen[-1]
    assert (last.rows, last.expired) == (2 * WINDOWS, 2 * (SEEN_AT[-1] - WINDOWS))
    assert last.closed == 2 * (SEEN_AT[-1] - 1 - OPEN_WINDOWS)
    assert seen[1].closed == seen[1].expired == 0
    assert all(each.rss_mib > 0 and each.disk_mib > 0 for each in seen)
    assert len(said) == len(seen)
    assert list(tmp_path.iterdir()) == []


async def filled(groups: int) -> Second:
    """Return the stage with one window of rows."""
    second = Second(Stores(), groups)
    await second.open()
    second.take(0)
    return second


def test_rows_that_are_missing_wrong_or_too_many_are_found() -> None:
    """Each row of a window is looked at, and whether it is there at all."""
    second = asyncio.run(filled(groups=4))
    second.check(0, there=True)
    second.check(1, there=False)
    with pytest.raises(MeasureError, match=r"window 1 has 0 rows in the index, not [1-4]"):
        second.check(1, there=True)
    with pytest.raises(MeasureError, match=r"window 0 has [1-4] rows in the index, not 0"):
        second.check(0, there=False)
    second.take(0)
    with pytest.raises(MeasureError, match=r"the row of group . in window 0 is "):
        second.check(0, there=True)


def test_groups_have_values_of_their_own() -> None:
    """A row in another's place would be seen."""
    assert share_of(3) == (1, [1, "3.25"])
    assert share_of(4) == (2, [2, "4.25"])


@pytest.mark.parametrize("windows", SEEN_AT)
def test_counts_are_what_the_windows_make_them(windows: int) -> None:
    """Rows that are kept, and finals; one more or less of either is an error."""
    refuse_wrong(kept(windows), 5)
    for wrong, what in (
        ({"rows": kept(windows).rows - 1}, "rows"),
        ({"closed": kept(windows).closed + 1}, "finals"),
    ):
        with pytest.raises(MeasureError, match=what):
            refuse_wrong(kept(windows, **wrong), 5)


def test_the_goal_is_the_most_memory_with_all_rows() -> None:
    """Also while rows expire; with fewer rows nothing is claimed."""
    few = kept(10, rows=STATE_ROWS - 1, rss_mib=9_000.0)
    assert of_state([few]) == []
    within = kept(10, rows=STATE_ROWS, rss_mib=float(STATE_MIB))
    (goal,) = of_state([few, within])
    assert (goal.met, goal.measured) == (True, f"{STATE_MIB} MiB")
    (goal,) = of_state([within, kept(10, rows=STATE_ROWS, rss_mib=STATE_MIB + 1.0)])
    assert not goal.met
