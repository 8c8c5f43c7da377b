"""The results file and the table of a benchmark."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.measure import Rates
from benchmarks.report import Report
from benchmarks.runs import Row, Run, ratios_of, row_of


def run(per_s: float, per_cpu_s: float) -> Run:
    """Return a run of 1,000 events at these rates."""
    return Run.of(Rates(1_000, 1_000 / per_s, 1_000 / per_cpu_s))


def row(engine: str, *runs: Run, case: str = "route", errors: tuple[str, ...] = ()) -> Row:
    """Return a row of these runs."""
    return row_of(
        case=case, engine=engine, guarantee="at_least_once", events=1_000, runs=list(runs), errors=errors
    )


def document(rows: list[Row]) -> Report:
    """Return a report of these rows."""
    return Report(
        machine=report.machine(),
        versions=report.versions(),
        date=report.now(),
        command="python -m benchmarks.engine",
        rows=rows,
        ratios=ratios_of(rows),
    )


def test_a_row_has_the_medians_of_its_runs() -> None:
    """One slow run among three moves neither figure."""
    found = row("eventfleet", run(100, 400), run(900, 500), run(800, 2))
    assert (found.events_per_s, found.events_per_cpu_s) == (800, 400)
    assert len(found.runs) == 3


def test_a_failed_run_leaves_the_row_without_figures() -> None:
    """A wrong answer is not made good by other runs that were fast; equal errors are told once."""
    found = row("faust", run(900, 900), errors=("lost 3", "lost 3", "lost 4"))
    assert (found.events_per_s, found.events_per_cpu_s, found.error) == (None, None, "lost 3; lost 4")


def test_a_row_without_runs_is_an_error() -> None:
    """Nothing measured is told as such."""
    assert row("faust").error == "no run ended"


def test_ratios_compare_within_a_case() -> None:
    """The product's rate is over the peer's of the same case, per CPU second and per second."""
    rows = [
        row("eventfleet", run(1_000, 2_000)),
        row("faust", run(20, 25)),
        row("eventfleet", run(3_000, 3_000), case="keyed-sum"),
        row("faust", run(30, 60), case="keyed-sum"),
    ]
    found = [(ratio.case, ratio.peer, ratio.per_wall_s, ratio.per_cpu_s) for ratio in ratios_of(rows)]
    assert found == [("route", "faust", 50, 80), ("keyed-sum", "faust", 100, 50)]


@pytest.mark.parametrize("failed", ["eventfleet", "faust"])
def test_no_ratio_where_either_failed(failed: str) -> None:
    """A row with an error is compared with nothing."""
    rows = [
        row(engine, run(10, 10), errors=("wrong sums",) if engine == failed else ())
        for engine in ("eventfleet", "faust")
    ]
    assert ratios_of(rows) == []


def test_the_file_holds_what_every_benchmark_writes(tmp_path: Path) -> None:
    """Machine, versions, date, command, and rows with their runs; missing folders are made."""
    path = tmp_path / "results" / "engine.json"
    report.write(document([row("eventfleet", run(1_000, 2_000))]), path)
    found = json.loads(path.read_text())
    assert found.keys() == {
        "machine",
        "versions",
        "date",
        "command",
        "rows",
        "ratios",
        "recovery",
        "latency",
        "growth",
        "state",
        "goals",
        "sittings",
        "unfinished",
    }
    assert {"cpu_model", "cores", "memory_mib"} <= found["machine"].keys()
    assert found["versions"].keys() == {"python", "faust", "aiokafka", "kafka", "eventfleet"}
    (only,) = found["rows"]
    assert (only["events_per_s"], only["events_per_cpu_s"], only["events"]) == (1_000, 2_000, 1_000)
    assert only["runs"] == [
        {"events": 1_000, "wall_s": 1.0, "cpu_s": 0.5, "events_per_s": 1_000, "events_per_cpu_s": 2_000}
    ]
    assert [each.name for each in path.parent.iterdir()] == ["engine.json"]


def test_the_table_shows_rates_ratios_and_errors() -> None:
    """People see each row's figures, or that it failed, beside the ratio to the product."""
    rows = [row("eventfleet", run(5_000, 6_000)), row("faust", run(100, 60)), row("floor", errors=("wrong",))]
    shown = io.StringIO()
    Console(file=shown, width=120).print(report.table(document(rows)))
    lines = [line.split() for line in shown.getvalue().splitlines()[1:]]
    assert lines[0][-2:] == ["5,000", "6,000"]
    assert lines[1][-4:] == ["100", "60", "50.0", "100.0"]
    assert lines[2][-1] == "error"
