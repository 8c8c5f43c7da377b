"""What a worker loads in the recovery case, and the rate that comes of it."""

from __future__ import annotations

from benchmarks.engines import OWN_ENGINES, PRODUCT
from benchmarks.figures import Recovery, RecoveryRun
from benchmarks.recovery import longer, part_for

BY_NAME = {engine.name: engine for engine in OWN_ENGINES}
SIZES = {0: 60_000, 1: 40_000}


def run(rows: int, empty_s: float, loaded_s: float, kept_s: float | None = None) -> RecoveryRun:
    """Return one start."""
    return RecoveryRun(rows=rows, empty_s=empty_s, loaded_s=loaded_s, kept_s=kept_s)


def recovery(*runs: RecoveryRun, errors: tuple[str, ...] = ()) -> Recovery:
    """Return the row of these starts."""
    return Recovery.of("eventfleet", "exactly_once", "memory", list(runs), errors)


def test_an_engine_that_holds_all_members_takes_the_whole_topic() -> None:
    """More events than members: those of the run before count too."""
    part = part_for(BY_NAME[PRODUCT], 90_000, SIZES)
    assert (dict(part.starts), part.events, part.warmup_events) == ({0: 0, 1: 0}, 100_000, 0)


def test_a_slow_engine_takes_the_end_of_the_topic() -> None:
    """As many events as it may have members, the same number of each partition."""
    part = part_for(BY_NAME["faust"], 90_000, SIZES)
    assert (dict(part.starts), part.events) == ({0: 35_000, 1: 15_000}, 50_000)


def test_what_is_published_later_belongs_to_the_same_part() -> None:
    """It begins where it began, and ends with the last event."""
    part = longer(part_for(BY_NAME["faust"], 90_000, SIZES), {0: 60_600, 1: 40_400})
    assert (dict(part.starts), part.events) == ({0: 35_000, 1: 15_000}, 51_000)


def test_the_start_without_state_is_taken_off() -> None:
    """Of the medians: one slow start among three does not count."""
    found = recovery(run(1_000, 2.0, 4.0), run(1_000, 1.0, 3.0), run(1_000, 9.0, 30.0))
    assert (found.rows_per_s, found.loaded_s, found.kept_s) == (500.0, 4.0, None)


def test_no_rate_where_loading_adds_nothing() -> None:
    """A start with state that is not slower was measured with too few rows."""
    assert recovery(run(10, 2.0, 2.0)).error.endswith("measure with more rows")
    assert recovery(run(10, 2.0, 2.0)).rows_per_s is None


def test_an_error_leaves_no_figure() -> None:
    """However well the other runs went."""
    found = recovery(run(1_000, 1.0, 2.0, 1.5), errors=("9 rows are wrong",))
    assert (found.rows_per_s, found.loaded_s, found.kept_s, found.error) == (
        None,
        None,
        None,
        "9 rows are wrong",
    )
