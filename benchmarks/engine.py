"""The engine beside its peers and the bare client: `python -m benchmarks.engine [--quick]`.

All engines process the same topics in one run, one after the other, in turns. Each worker has one
processor core for itself; the broker and this process share the others. Slow engines process only the
end of a topic. What the cases are and what is asked of an engine: ``CASES.md``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import report
from benchmarks.engines import OWN_ENGINES, Engine
from benchmarks.inputs import Size
from benchmarks.peers.engines import ENGINES as PEERS
from benchmarks.rig import Rig, rig, split_cores
from benchmarks.throughput import Throughput
from benchmarks.workers.job import CASES
from fleet.errors import EventfleetError
from fleet.settings import Settings, settings
from stack.embedded import EmbeddedStack
from stack.paths import StackPaths

NAME = "engine"
FILE_WIDTH = 120
ENGINES = {engine.name: engine for engine in (*OWN_ENGINES, *PEERS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        engines: Of these engines.
        cases: These cases.
        runs: Repetitions of each.
        size: How much in each.
    """

    engines: Sequence[Engine]
    cases: Sequence[str]
    runs: int
    size: Size


FULL = Size(events=500_000, warmup_events=1_000_000)
QUICK = Size(events=100_000, warmup_events=100_000)


async def measure_on(rig: Rig, plan: Plan) -> report.Report:
    """Measure everything in `plan`."""
    rows = await Throughput(rig, plan.engines, plan.cases, plan.runs, plan.size).measure()
    return report.Report(
        machine={},
        versions=report.versions(),
        date=report.now(),
        command="",
        rows=rows,
        ratios=report.ratios_of(rows),
    )


def bench_settings(base: Settings) -> Settings:
    """Return the settings of the benchmark's own stack: own data, the usual ports, no other brokers."""
    own = {"data_dir": base.data_dir / "bench", "bootstrap_servers": None, "registry_url": None}
    return base.model_copy(update=own)


def measure(plan: Plan, console: Console) -> report.Report:
    """Measure on an embedded stack that is up for as long as it takes."""
    parts = StackPaths.of(settings()).parts
    chosen = bench_settings(settings())
    core = split_cores()
    stack = EmbeddedStack(chosen, parts_dir=parts, say=console.print)
    stack.wipe()

    async def on_stack() -> report.Report:
        folder = (stack.paths.root / "workers").absolute()
        async with rig(chosen.kafka, chosen.registry, core, folder, console.print) as ready:
            return await measure_on(ready, plan)

    try:
        with stack:
            return asyncio.run(on_stack())
    finally:
        stack.wipe()


def chosen_of(text: str, known: Sequence[str], what: str) -> list[str]:
    """Return the names in a comma-separated option; all of them where it is empty."""
    names = [name.strip() for name in text.split(",") if name.strip()] or list(known)
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"no {what} {name!r}; known: {', '.join(known)}")
    return names


def main(
    *,
    only: Annotated[str, typer.Option(help="Cases, comma-separated; all by default.")] = "",
    engines: Annotated[str, typer.Option(help="Engines, comma-separated; all by default.")] = "",
    runs: Annotated[int, typer.Option(help="Repetitions.", min=1)] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="A rough answer: small, and one run.")] = False,
    output: Annotated[Path, typer.Option(help="Where to write the results.")] = report.RESULTS
    / f"{NAME}.json",
) -> None:
    """Measure the engine, its peers and the bare client on the same topics."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    plan = Plan(
        engines=[ENGINES[name] for name in chosen_of(engines, list(ENGINES), "engine")],
        cases=chosen_of(only, CASES, "case"),
        runs=1 if quick else runs,
        size=QUICK if quick else FULL,
    )
    try:
        found = measure(plan, console)
    except EventfleetError as error:
        typer.secho(f"bench: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.secho("bench: interrupted, nothing written", err=True)
        raise typer.Exit(130) from None
    report.write(found, output)
    console.print(report.table(found))
    console.print(f"ratio: how many times its rate {report.PRODUCT} has. CPU seconds are the worker's.")
    for row in found.rows:
        if row.error:
            console.print(f"[red]error[/] {row.case} {row.engine}: ", end="")
            console.print(row.error, markup=False)
    console.print(f"Written to {output}")
    if any(row.error for row in found.rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
