"""Routing beside Kafka Streams with the same branches: `python -m benchmarks.routing [--quick]`.

The cases are those of `benchmarks.engine` by other names, and one with a thousand rules, of which each event
can match one: what an index is for.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from benchmarks import names, report
from benchmarks.engine import ENGINES, bench
from benchmarks.engines import PRODUCT
from benchmarks.figures import Goal
from benchmarks.goals import STREAMS_EOS
from benchmarks.plan import FULL, QUICK, Extent, Plan
from benchmarks.report import Report
from benchmarks.workers.job import ROUTE_ATTRIBUTES, ROUTE_FIELDS, ROUTE_MANY

NAME = "routing"
CASES: Final = {
    ROUTE_ATTRIBUTES: "attributes-20",
    ROUTE_FIELDS: "fields-20",
    ROUTE_MANY: "attributes-1000",
}
MOST_COST: Final = 2.0
"""Times that an event may cost more with a thousand rules than with 20."""


def main(
    *,
    runs: Annotated[int, typer.Option(help="Repetitions.", min=1)] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="A rough answer: small, and one run.")] = False,
    output: Annotated[Path, typer.Option(help="Where to write the results.")] = report.RESULTS
    / f"{NAME}.json",
) -> None:
    """Measure the router beside Kafka Streams, both exactly once, on the same topic."""
    options = ["--quick"] if quick else [f"--runs {runs}"]
    plan = Plan(
        engines=[replace(ENGINES[engine], cases=tuple(CASES)) for engine in (PRODUCT, STREAMS_EOS)],
        cases=list(CASES),
        runs=1 if quick else runs,
        extent=_without_charges(QUICK if quick else FULL),
        product=ENGINES[PRODUCT],
    )
    bench(plan, " ".join([f"python -m benchmarks.{NAME}", *options]), output, told=renamed)


def renamed(found: Report) -> Report:
    """Return a report with the names of these cases, and what a thousand rules cost."""
    named = names.renamed(found, CASES)
    return msgspec.structs.replace(named, goals=[*named.goals, *_cost(found)])


def _cost(found: Report) -> list[Goal]:
    rates = {row.case: row.events_per_cpu_s for row in found.rows if row.engine == PRODUCT}
    few, many = rates.get(ROUTE_ATTRIBUTES), rates.get(ROUTE_MANY)
    if not few or not many:
        return []
    goal = f"attributes-1000: at most {MOST_COST:g} times the cost of attributes-20 for an event"
    return [Goal(goal=goal, measured=f"{few / many:.3g} times", met=few / many <= MOST_COST)]


def _without_charges(extent: Extent) -> Extent:
    return replace(extent, size=replace(extent.size, charges=0))


if __name__ == "__main__":
    typer.run(main)
