"""Aggregation in event time beside Kafka Streams and quix-streams: `python -m benchmarks.aggregation`.

The cases and how they are measured are as in `benchmarks.engine`, on a topic of their own: ``CASES.md``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks import names, report
from benchmarks.aggregators import ENGINES
from benchmarks.engine import bench, chosen_of
from benchmarks.plan import FULL, QUICK, Extent, Plan
from benchmarks.workers.job import AGGREGATE_HOPPING, AGGREGATE_SESSION, AGGREGATE_TEN, AGGREGATE_TUMBLING

NAME = "aggregation"
CASES: Final = {
    AGGREGATE_TUMBLING: "tumbling",
    AGGREGATE_HOPPING: "hopping",
    AGGREGATE_SESSION: "session",
    AGGREGATE_TEN: "ten-definitions",
}


def main(
    *,
    only: Annotated[str, typer.Option(help="Cases, comma-separated; all by default.")] = "",
    engines: Annotated[str, typer.Option(help="Engines, comma-separated; all by default.")] = "",
    runs: Annotated[int, typer.Option(help="Repetitions; slow engines take fewer.", min=1)] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="A rough answer: small, and one run.")] = False,
    output: Annotated[Path, typer.Option(help="Where to write the results.")] = report.RESULTS
    / f"{NAME}.json",
) -> None:
    """Measure the aggregator beside its peers on the same topic."""
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
    bench(plan, command, output, told=lambda found: names.renamed(found, CASES))


def _timed_alone(extent: Extent) -> Extent:
    return replace(extent, size=replace(extent.size, charges=0, claims=0))


if __name__ == "__main__":
    typer.run(main)
