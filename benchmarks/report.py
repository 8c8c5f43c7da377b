"""Results of a benchmark: one JSON file that machines compare, one table that people read.

Every benchmark writes ``benchmarks/results/<name>.json``, in the form of `Report`.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import psutil
from rich.table import Table

from benchmarks.measure import Rates
from stack.fetch import KAFKA

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PRODUCT = "eventfleet"
_MIB = 1024**2


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what was counted, over which time.

    Attributes:
        events: Events between the first and the last progress seen.
        wall_s: Seconds between the two.
        cpu_s: CPU seconds, user and system, of the worker's process between the two.
    """

    events: int
    wall_s: float
    cpu_s: float
    events_per_s: float
    events_per_cpu_s: float

    @classmethod
    def of(cls, rates: Rates) -> Run:
        """Return the run that gave these rates."""
        return cls(
            events=rates.events,
            wall_s=round(rates.wall_s, 3),
            cpu_s=round(rates.cpu_s, 3),
            events_per_s=round(rates.events_per_s, 1),
            events_per_cpu_s=round(rates.events_per_cpu_s, 1),
        )


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One case on one engine: the medians of its runs.

    Attributes:
        case: What is done with the events.
        engine: ``eventfleet``, a peer, or ``floor`` for the bare client in a plain loop.
        guarantee: ``exactly_once`` or ``at_least_once``.
        events: Events that each run processed, checked against what came out.
        events_per_s: Median, wall clock; None where a run failed.
        events_per_cpu_s: Median, per CPU second of the worker; None where a run failed.
        runs: The single runs.
        settings: How the engine was set, where there was a choice.
        error: Why there is no figure.
    """

    case: str
    engine: str
    guarantee: str
    events: int
    events_per_s: float | None
    events_per_cpu_s: float | None
    runs: list[Run]
    settings: str = ""
    error: str = ""


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """How many times the product's rate is a peer's, in one case."""

    case: str
    peer: str
    per_cpu_s: float
    per_wall_s: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of one benchmark.

    Attributes:
        machine: Processor, cores, memory, and how busy it was before.
        versions: Of Python and of what was measured.
        date: When it ended, UTC.
        command: How to do it again.
        rows: One per case and engine.
        ratios: The product beside each peer.
    """

    machine: dict[str, str | int | float]
    versions: dict[str, str]
    date: str
    command: str
    rows: list[Row]
    ratios: list[Ratio]


def row_of(
    *,
    case: str,
    engine: str,
    guarantee: str,
    events: int,
    runs: list[Run],
    settings: str = "",
    errors: Iterable[str] = (),
) -> Row:
    """Return the row of these runs; with any error it has no figure, however many runs went well."""
    error = "; ".join(dict.fromkeys(errors)) or ("" if runs else "no run ended")
    return Row(
        case=case,
        engine=engine,
        guarantee=guarantee,
        events=events,
        events_per_s=None if error else statistics.median(run.events_per_s for run in runs),
        events_per_cpu_s=None if error else statistics.median(run.events_per_cpu_s for run in runs),
        runs=runs,
        settings=settings,
        error=error,
    )


def ratios_of(rows: Iterable[Row]) -> list[Ratio]:
    """Return the product's rate over each peer's, for each case in which both have one."""
    listed = list(rows)
    ours = {row.case: row for row in listed if row.engine == PRODUCT}
    found = []
    for peer in listed:
        own = ours.get(peer.case)
        if own is None or own is peer or not own.events_per_s or not own.events_per_cpu_s:
            continue
        if peer.events_per_s and peer.events_per_cpu_s:
            per_cpu_s = round(own.events_per_cpu_s / peer.events_per_cpu_s, 2)
            per_wall_s = round(own.events_per_s / peer.events_per_s, 2)
            found.append(Ratio(case=peer.case, peer=peer.engine, per_cpu_s=per_cpu_s, per_wall_s=per_wall_s))
    return found


def machine() -> dict[str, str | int | float]:
    """Return what this machine is, and its load over the last minute."""
    names = (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name"))
    return {
        "cpu_model": next(names, platform.machine()),
        "cores": os.cpu_count() or 1,
        "memory_mib": psutil.virtual_memory().total // _MIB,
        "load_before": round(os.getloadavg()[0], 2),
    }


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
    shown = Table("case", "engine", "guarantee", box=None, header_style="bold")
    for name in ("events", "per second", "per CPU second", "ratio, wall", "ratio, CPU"):
        shown.add_column(name, justify="right", no_wrap=True)
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
