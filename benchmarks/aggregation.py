"""Aggregation in event time beside Kafka Streams and quix-streams: `python -m benchmarks.aggregation`.

The cases and how they are measured are as in `benchmarks.engine`, on a topic of their own: ``CASES.md``.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks import names, report, sittings
from benchmarks.aggregators import ENGINES
from benchmarks.engine import bench, chosen_of, console_of, show
from benchmarks.goals import STATE_ROWS
from benchmarks.plan import FULL, QUICK, Extent, Plan
from benchmarks.report import Sitting
from benchmarks.sittings import Found
from benchmarks.state import STATE, measure
from benchmarks.workers.job import (
    AGGREGATE_HOPPING,
    AGGREGATE_SESSION,
    AGGREGATE_TEN,
    AGGREGATE_TUMBLING,
    QUERY,
)
from fleet.errors import EventfleetError
from fleet.settings import settings

NAME = "aggregation"
CASES: Final = {
    AGGREGATE_TUMBLING: "tumbling",
    AGGREGATE_HOPPING: "hopping",
    AGGREGATE_SESSION: "session",
    AGGREGATE_TEN: "ten-definitions",
    QUERY: QUERY,
}


def main(
    *,
    only: Annotated[str, typer.Option(help="Cases, comma-separated; all by default.")] = "",
    engines: Annotated[str, typer.Option(help="Engines, comma-separated; all by default.")] = "",
    runs: Annotated[int, typer.Option(help="Repetitions; slow engines take fewer.", min=1)] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="A rough answer: small, and one run.")] = False,
    state: Annotated[
        bool, typer.Option("--state", help="Instead of all that, the memory of 10,000,000 rows.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Where to write the results.")] = None,
) -> None:
    """Measure the aggregator beside its peers on the same topic."""
    if state:
        rows = STATE_ROWS // 10 if quick else STATE_ROWS
        grow(rows, "--quick" * quick, output or report.RESULTS / f"{NAME}-state.json")
        return
    options = [f"--only {only}" * bool(only), f"--engines {engines}" * bool(engines)]
    repeated = "--quick" if quick else f"--runs {runs}"
    chosen = chosen_of(only, list(CASES.values()), "case")
    plan = Plan(
        engines=[ENGINES[engine] for engine in chosen_of(engines, list(ENGINES), "engine")],
        cases=[case for case, name in CASES.items() if name in chosen],
        runs=1 if quick else runs,
        extent=_timed_alone(QUICK if quick else FULL),
        product=next(iter(ENGINES.values())),
    )
    command = " ".join(filter(None, [f"python -m benchmarks.{NAME}", *options, repeated]))
    bench(
        plan,
        command,
        output or report.RESULTS / f"{NAME}.json",
        told=lambda found: names.renamed(found, CASES),
    )


def grow(rows: int, options: str, output: Path) -> None:
    """Measure the memory of the aggregator's second stage, write what is found, and show it."""
    console = console_of()
    command = " ".join(filter(None, [f"python -m benchmarks.{NAME} --state", options]))
    begun = sittings.begun(command, [STATE], output, merge=False)
    base = settings()
    commit, load, since = sittings.commit(), report.load(), time.monotonic()
    try:
        folder = (base.data_dir / "bench" / STATE).absolute()
        held = asyncio.run(measure(rows, folder, base.rocksdb_mib, console.print))
    except EventfleetError as error:
        typer.secho(f"bench: {error}; nothing written", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
    sitting = Sitting(
        commit=commit,
        date=report.now(),
        command=command,
        load_before=load,
        took_s=round(time.monotonic() - since, 1),
    )
    found = sittings.with_case(begun, STATE, Found(state=held), sitting)
    report.write(found, output)
    show(found, console)
    console.print(f"Written to {output}")


def _timed_alone(extent: Extent) -> Extent:
    return replace(extent, size=replace(extent.size, charges=0, claims=0))


if __name__ == "__main__":
    typer.run(main)
