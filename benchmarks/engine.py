"""The engine beside its peers and the bare client: `python -m benchmarks.engine [--quick]`.

All engines process the same topics in one run, one after the other, in turns. Each worker has one
processor core for itself; the broker and this process share the others. Slow engines process only the
end of a topic. What the cases are and what is asked of an engine: ``CASES.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from aiokafka.errors import KafkaError
from rich.console import Console

from benchmarks import budget, report, sittings
from benchmarks.engines import ALL_CASES, OWN_ENGINES, PRODUCT
from benchmarks.growth import GROWTH
from benchmarks.peers.engines import ENGINES as PEERS
from benchmarks.plan import FULL, QUICK, Plan, measure_on
from benchmarks.report import Report
from benchmarks.rig import rig, split_cores
from fleet.errors import EventfleetError
from fleet.settings import Settings, settings
from stack.embedded import EmbeddedStack
from stack.paths import StackPaths

NAME = "engine"
FILE_WIDTH = 120
ENGINES = {engine.name: engine for engine in (*OWN_ENGINES, *PEERS)}


def bench_settings(base: Settings) -> Settings:
    """Return the settings of the benchmark's own stack: own data, the usual ports, no other brokers."""
    own = {"data_dir": base.data_dir / "bench", "bootstrap_servers": None, "registry_url": None}
    return base.model_copy(update=own)


def measure(plan: Plan, begun: Report, keep: Callable[[Report], None], console: Console) -> Report:
    """Measure on an embedded stack that is up for as long as it takes; `keep` gets each finished case."""
    parts = StackPaths.of(settings()).parts
    chosen = bench_settings(settings())
    core = split_cores()
    stack = EmbeddedStack(chosen, parts_dir=parts, say=console.print)
    stack.wipe()
    folder = (stack.paths.root / "workers").absolute()

    async def on_stack() -> Report:
        async with rig(chosen.kafka, chosen.registry, core, folder, console.print) as ready:
            return await measure_on(ready, plan, begun, keep)

    try:
        with stack:
            return uvloop.run(on_stack())
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
    runs: Annotated[int, typer.Option(help="Repetitions; slow engines take fewer.", min=1)] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="A rough answer: small, and one run.")] = False,
    output: Annotated[Path, typer.Option(help="Where to write the results.")] = report.RESULTS
    / f"{NAME}.json",
    merge: Annotated[
        bool, typer.Option("--merge", help="Keep the other cases that the results file has.")
    ] = False,
) -> None:
    """Measure the engine, its peers and the bare client on the same topics."""
    options = [f"--only {only}" * bool(only), f"--engines {engines}" * bool(engines), "--quick" * quick]
    repeated = [] if quick else [f"--runs {runs}"]
    command = " ".join(filter(None, [f"python -m benchmarks.{NAME}", *options, *repeated]))
    plan = Plan(
        engines=[ENGINES[name] for name in chosen_of(engines, list(ENGINES), "engine")],
        cases=chosen_of(only, [*ALL_CASES, GROWTH], "case"),
        runs=1 if quick else runs,
        extent=QUICK if quick else FULL,
        product=ENGINES[PRODUCT],
    )
    bench(plan, command, output, merge=merge)


def bench(
    plan: Plan,
    command: str,
    output: Path,
    *,
    merge: bool = False,
    told: Callable[[Report], Report] = lambda report: report,
) -> None:
    """Measure a plan, write what is found after each case, and show it; whatever goes wrong is one line.

    Args:
        plan: What to measure.
        command: How to do it again.
        output: The results file.
        merge: Whether to keep the other cases that the file has.
        told: Makes of the report the one that is written and shown.
    """
    console = console_of()
    written: list[Report] = []

    def keep(found: Report) -> None:
        report.write(told(found), output)
        written.append(found)

    try:
        begun = sittings.begun(command, plan.cases, output, merge=merge)
        console.print(f"Measuring {', '.join(plan.cases)}: {budget.told(plan)}")
        found = measure(plan, begun, keep, console)
    except EventfleetError as error:
        typer.secho(f"bench: {error}; {_left(written, output)}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
    except KafkaError as error:
        message = (
            f"bench: Kafka did not answer as it should ({type(error).__name__}); {_left(written, output)}"
        )
        typer.secho(message, fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.secho(f"bench: interrupted, {_left(written, output)}", err=True)
        raise typer.Exit(130) from None
    found = told(found)
    show(found, console)
    console.print(f"Written to {output}")
    if report.errors(found):
        raise typer.Exit(1)


def console_of() -> Console:
    """Return where people read, as wide as the tables where that is a file."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    return console


def _left(written: Sequence[Report], output: Path) -> str:
    """Say what a run that did not end has left."""
    if not written:
        return "nothing written"
    return f"{output} is without {', '.join(written[-1].unfinished)}"


def show(found: Report, console: Console) -> None:
    """Show a report as tables, with its errors."""
    if found.rows:
        console.print(report.table(found))
        console.print(f"ratio: how many times its rate {PRODUCT} has. CPU seconds are the worker's.")
    for table in report.other_tables(found):
        console.print()
        console.print(table)
    for what, error in report.errors(found):
        console.print(f"[red]error[/] {what}: ", end="")
        console.print(error, markup=False)


if __name__ == "__main__":
    typer.run(main)
