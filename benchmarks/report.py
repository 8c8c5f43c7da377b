"""Results of a benchmark: one JSON file that machines compare, one table that people read.

Every benchmark writes ``benchmarks/results/<name>.json``, in the form of `Report`.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import psutil
from rich.table import Table

from benchmarks.engines import PRODUCT
from benchmarks.figures import Goal, Growth, Kept, Latency, Recovery
from benchmarks.runs import Ratio, Row
from benchmarks.trial import ROOT
from stack.fetch import KAFKA

RESULTS = Path(__file__).parent / "results"
_MIB = 1024**2


class Sitting(msgspec.Struct, frozen=True, kw_only=True):
    """How the figures of one case came about.

    Attributes:
        commit: Of the source tree; ``-dirty`` where it was changed.
        date: When it was measured, UTC.
        command: How to do it again.
        load_before: How busy the machine was: its load over the minute before.
        took_s: How long it took.
    """

    commit: str
    date: str
    command: str
    load_before: float
    took_s: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of one benchmark.

    Attributes:
        machine: Processor, cores, memory.
        versions: Of Python and of what was measured.
        date: When a case was finished last, UTC.
        command: What was run last.
        unfinished: Cases that it was still to measure: it was cut off, or goes on.
        sittings: How the figures of each case came about.
        rows: One per case and engine.
        ratios: The product beside each peer.
        recovery: Starts with much state, by engine.
        latency: By engine and rate.
        growth: The product, as one thing grows.
        state: Its aggregator, as its rows grow.
        goals: What it is meant to reach.
    """

    machine: dict[str, str | int]
    versions: dict[str, str]
    date: str
    command: str
    unfinished: list[str] = []
    sittings: dict[str, Sitting] = {}
    rows: list[Row] = []
    ratios: list[Ratio] = []
    recovery: list[Recovery] = []
    latency: list[Latency] = []
    growth: list[Growth] = []
    state: list[Kept] = []
    goals: list[Goal] = []


def machine() -> dict[str, str | int]:
    """Return what this machine is."""
    names = (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name"))
    return {
        "cpu_model": next(names, platform.machine()),
        "cores": os.cpu_count() or 1,
        "memory_mib": psutil.virtual_memory().total // _MIB,
    }


def load() -> float:
    """Return how busy the machine was over the last minute."""
    return round(os.getloadavg()[0], 2)


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def versions() -> dict[str, str]:
    """Return the versions of Python and of what every benchmark stands on."""
    return {
        "python": platform.python_version(),
        "faust": version("faust-streaming"),
        "aiokafka": version("aiokafka"),
        "kafka": KAFKA.version,
        PRODUCT: _product_version(),
    }


def _product_version() -> str:
    try:
        return version(PRODUCT)
    except PackageNotFoundError:  # run from the source tree
        return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def now() -> str:
    """Return the time, UTC, as the reports give it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def write(report: Report, path: Path) -> None:
    """Write `report` to `path`, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    draft.replace(path)


def table(report: Report) -> Table:
    """Return `report` as a table: the rates, and how many times a peer's rate the product has."""
    times = {(ratio.case, ratio.peer): ratio for ratio in report.ratios}
    shown = _table(
        "case",
        "engine",
        "guarantee",
        right=("events", "per second", "per CPU second", "ratio, wall", "ratio, CPU"),
    )
    for row in report.rows:
        if row.error:
            cells = ["[red]error[/]"]
        else:
            ratio = times.get((row.case, row.engine))
            rates = [f"{rate or 0:,.0f}" for rate in (row.events_per_s, row.events_per_cpu_s)]
            beside = [f"{ratio.per_wall_s:,.1f}", f"{ratio.per_cpu_s:,.1f}"] if ratio else ["", ""]
            cells = [*rates, *beside]
        shown.add_row(row.case, row.engine, row.guarantee, f"{row.events:,}", *cells)
    return shown


def other_tables(report: Report) -> list[Table]:
    """Return the tables of all that are no rates, and of goals; none where nothing was measured."""
    starts = _table(
        "recovery", "guarantee", "store", right=("rows", "start, s", "disk kept, s", "rows per second")
    )
    for each in report.recovery:
        kept = "" if each.kept_s is None else f"{each.kept_s:.2f}"
        figures = [f"{each.loaded_s or 0:.2f}", kept, f"{each.rows_per_s or 0:,.0f}"]
        shown = ["[red]error[/]"] if each.error else figures
        starts.add_row(each.engine, each.guarantee, each.store, f"{each.rows:,}", *shown)
    latency = _table("latency", "guarantee", right=("per second", "p50, ms", "p99, ms", "p99.9, ms"))
    for found in report.latency:
        figures = [f"{figure or 0:.1f}" for figure in (found.p50_ms, found.p99_ms, found.p999_ms)]
        shown = ["[red]error[/]"] if found.error else figures
        latency.add_row(
            f"{found.engine} {found.what}".strip(), found.guarantee, f"{found.rate_per_s:,}", *shown
        )
    growth = _table("growth", "case", right=("size", "per CPU second"))
    for grown in report.growth:
        shown = ["[red]error[/]"] if grown.error else [f"{grown.events_per_cpu_s or 0:,.0f}"]
        growth.add_row(grown.what, grown.case, f"{grown.size:,}", *shown)
    state = _table("state", right=("rows", "expired", "MiB", "MiB on disk", "rows per second"))
    for held in report.state:
        sizes = [f"{size:,.0f}" for size in (held.rows, held.expired, held.rss_mib, held.disk_mib)]
        state.add_row(PRODUCT, *sizes, f"{held.rows_per_s or 0:,.0f}")
    goals = _table("goal", "measured", "met", right=())
    for goal in report.goals:
        goals.add_row(goal.goal, goal.measured, "yes" if goal.met else "[red]no[/]")
    return [each for each in (starts, latency, growth, state, goals) if each.row_count]


def _table(*left: str, right: tuple[str, ...]) -> Table:
    shown = Table(*left, box=None, header_style="bold")
    for name in right:
        shown.add_column(name, justify="right", no_wrap=True)
    return shown


def errors(report: Report) -> list[tuple[str, str]]:
    """Return what failed, and why."""
    return [
        *((f"{row.case} {row.engine}", row.error) for row in report.rows if row.error),
        *((f"recovery {each.engine}", each.error) for each in report.recovery if each.error),
        *(
            (f"{each.what or 'latency'} {each.engine} {each.rate_per_s:,}/s", each.error)
            for each in report.latency
            if each.error
        ),
        *((f"growth {each.what} {each.size:,}", each.error) for each in report.growth if each.error),
    ]
