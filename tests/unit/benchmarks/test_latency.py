"""Which latencies count, and how they are summed up."""

from __future__ import annotations

import pytest

from benchmarks.figures import Latency, LatencyRun
from benchmarks.latency import due_after_ns, settled

SECOND_NS = 1_000_000_000


def test_events_are_due_at_an_even_rate() -> None:
    """Event n of a stretch is due n / rate seconds after the first, without an error that adds up."""
    assert [due_after_ns(number, 4) for number in range(3)] == [0, SECOND_NS // 4, SECOND_NS // 2]
    assert due_after_ns(3_000_000, 3) == 1_000_000 * SECOND_NS


def test_the_first_fifth_of_a_stretch_does_not_count() -> None:
    """What was due in it is left out, however late it came, and in whatever order it was read."""
    begun = 5 * SECOND_NS
    found = [
        (begun + 2 * SECOND_NS, 7.0),
        (begun, 900.0),
        (begun + SECOND_NS - 1, 800.0),
        (begun + SECOND_NS, 3),
    ]
    assert settled(found, seconds=5.0) == [7.0, 3]


def test_percentiles_are_of_all_that_counts() -> None:
    """One stall in a thousand shows in the 99.9th percentile and the most, not in the 99th."""
    run = LatencyRun.of([*([2.0] * 999), 50.0])
    assert (run.events, run.p50_ms, run.p99_ms, run.p999_ms, run.max_ms) == (1_000, 2.0, 2.0, 50.0, 50.0)


@pytest.mark.parametrize(("runs", "error"), [([], ""), ([LatencyRun.of([1.0])], "9 outputs were missing")])
def test_a_rate_that_failed_has_no_figure(runs: list[LatencyRun], error: str) -> None:
    """Nor has one of which no stretch ended."""
    found = Latency.of("eventfleet", "exactly_once", 100, runs, error)
    assert found.p99_ms is None
    assert found.error == (error or "no stretch ended")
