"""The goals of the engine beside what was measured."""

from __future__ import annotations

import pytest

from benchmarks.figures import Goal, Growth, Latency, LatencyRun, Recovery, RecoveryRun
from benchmarks.goals import goals
from benchmarks.measure import Rates
from benchmarks.runs import Row, Run, row_of


def row(engine: str, per_cpu_s: float, *, case: str = "keyed-sum", error: str = "") -> Row:
    """Return a row at this rate."""
    run = Run.of(Rates(1_000, 1.0, 1_000 / per_cpu_s))
    return row_of(
        case=case, engine=engine, guarantee="", events=1_000, runs=[run], errors=[error] if error else []
    )


def recovery(engine: str, rows_per_s: float) -> Recovery:
    """Return the start of an engine that loads at this rate."""
    run = RecoveryRun(rows=1_000_000, empty_s=1.0, loaded_s=1.0 + 1_000_000 / rows_per_s, kept_s=None)
    return Recovery.of(engine, "exactly_once", "memory", [run], [])


def growth(what: str, size: int, per_cpu_s: float) -> Growth:
    """Return the engine at one size."""
    return Growth(what=what, size=size, case="", events_per_cpu_s=per_cpu_s, runs=[])


def met(found: list[Goal]) -> dict[str, bool]:
    """Return whether each goal is met, by the first words of it."""
    return {goal.goal: goal.met for goal in found}


def test_rates_are_beside_each_peer_per_cpu_second() -> None:
    """1.5 times Kafka Streams, 60 times stock Faust, 4 times quix-streams, 60 % of the floor."""
    peers = [row("kafka-streams-eos", 200), row("faust", 6), row("quix-eo", 70), row("floor", 501)]
    found = met(goals([row("eventfleet", 300), *peers]))
    assert found == {
        "keyed-sum: at least 1.5 times kafka-streams-eos, per CPU second": True,
        "keyed-sum: at least 60 times faust, per CPU second": False,
        "keyed-sum: at least 4 times quix-eo, per CPU second": True,
        "keyed-sum: at least 0.6 times floor, per CPU second": False,
    }


def test_the_guarantee_beside_kafka_streams_is_the_same() -> None:
    """Its at-least-once figures are shown, but are no goal; windows need only be as fast."""
    rows = [
        row("eventfleet", 100, case="hopping"),
        row("kafka-streams-eos", 100, case="hopping"),
        row("kafka-streams-alo", 500, case="hopping"),
    ]
    assert met(goals(rows)) == {"hopping: at least 1 times kafka-streams-eos, per CPU second": True}


def test_what_failed_is_not_met() -> None:
    """A goal without a figure is never taken as reached."""
    (found,) = goals([row("eventfleet", 100, error="lost 3"), row("floor", 1)])
    assert (found.measured, found.met) == ("not measured", False)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [(300_000, 250_000, [True, True]), (190_000, 250_000, [False, False]), (210_000, 250_000, [True, False])],
)
def test_recovery_is_fast_in_itself_and_beside_kafka_streams(
    ours: float, theirs: float, expected: list[bool]
) -> None:
    """200,000 rows a second, and not slower than the peer's restore."""
    found = goals([], [recovery("eventfleet", ours), recovery("kafka-streams-eos", theirs)])
    assert [goal.met for goal in found] == expected


def test_loading_that_takes_no_time_has_no_rate() -> None:
    """A start with state that is not slower than one without is noise, not a figure."""
    run = RecoveryRun(rows=1_000, empty_s=2.0, loaded_s=2.0, kept_s=None)
    found = Recovery.of("eventfleet", "exactly_once", "memory", [run], [])
    assert (found.rows_per_s, found.error) == (
        None,
        "a start with state took 2.00 s, one without 2.00 s: measure with more rows",
    )


def test_percentiles_are_of_the_sorted_latencies() -> None:
    """The last of a hundred decides the p99; rows have the medians of their stretches."""
    run = LatencyRun.of([float(number) for number in range(100, 0, -1)])
    assert (run.p50_ms, run.p99_ms, run.p999_ms, run.max_ms) == (51.0, 100.0, 100.0, 100.0)
    slow = LatencyRun.of([500.0])
    found = Latency.of("eventfleet", "exactly_once", 1_000, [run, run, slow], "")
    assert (found.p50_ms, found.p99_ms) == (51.0, 100.0)


@pytest.mark.parametrize(("p99_ms", "expected"), [(19.9, True), (20.0, False)])
def test_latency_is_judged_at_a_thousand_a_second(p99_ms: float, expected: bool) -> None:  # noqa: FBT001
    """Other rates are shown, but are no goal."""
    stretch = LatencyRun.of([p99_ms])
    rows = [Latency.of("eventfleet", "exactly_once", rate, [stretch], "") for rate in (100, 1_000)]
    (found,) = goals([], latencies=rows)
    assert found.met is expected


def test_growth_is_flat_in_rows_up_to_a_million() -> None:
    """The worst size decides; ten million are shown, but are no goal."""
    flat = [growth("rows", 1_000, 120), growth("rows", 1_000_000, 100), growth("rows", 10_000_000, 10)]
    steep = [growth("rows", 1_000, 130), growth("rows", 1_000_000, 100)]
    assert [goal.met for goal in (*goals([], growths=flat), *goals([], growths=steep))] == [True, False]


@pytest.mark.parametrize(("many", "expected"), [(90.0, True), (1.0, False)])
def test_growth_is_sub_linear_in_rules(many: float, expected: bool) -> None:  # noqa: FBT001
    """A hundred times the rules may cost far less than a hundred times as much."""
    (found,) = goals([], growths=[growth("rules", 10, 100), growth("rules", 1_000, many)])
    assert found.met is expected
