"""The engine beside stock Faust, and beside the bare client: `python -m benchmarks.engine [--quick]`.

All engines process the same topic of claims in one run, one after the other, in turns. Each
worker has one processor core for itself; the broker and this process share the others. Stock
Faust processes only the end of the topic, since it would take minutes for all of it.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import report
from benchmarks.claims import PARTITIONS, expected, publish
from benchmarks.cluster import Cluster
from benchmarks.measure import MeasureError
from benchmarks.trial import Engine, Slice, free_port, run
from benchmarks.workers.job import CASES, Job
from fleet.errors import EventfleetError
from fleet.settings import Settings, settings
from stack.embedded import EmbeddedStack
from stack.paths import StackPaths

NAME = "engine"
SOURCE = "bench.claims"
FILE_WIDTH = 120
FAUST = "faust"
ENGINES = (
    Engine(
        name=report.PRODUCT,
        guarantee="exactly_once",
        module="benchmarks.workers.lane",
        settings="as shipped: LaneApp, lane agent, lane table in memory, uvloop, JSON by orjson",
    ),
    Engine(
        name=FAUST,
        guarantee="at_least_once",
        module="benchmarks.workers.stock_faust",
        settings="uvloop, Cython, values as bytes with orjson in the agent, memory table, no standbys, "
        "no leader topic, producer linger 20 ms and batches of 256 KiB, deliveries not awaited",
    ),
    Engine(
        name="floor",
        guarantee="at_least_once",
        module="benchmarks.workers.floor",
        settings="bare aiokafka in a plain loop, uvloop, orjson, batches of 512 KiB, deliveries awaited",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Attributes:
        events: Events in the topic.
        faust_events: Events that stock Faust processes, at the end of the topic.
        runs: Runs of each engine and case.
    """

    events: int
    faust_events: int
    runs: int


FULL = Plan(events=1_000_000, faust_events=60_000, runs=3)
QUICK = Plan(events=400_000, faust_events=20_000, runs=1)


class Bench:
    """One run of this benchmark, on a broker that is up.

    Args:
        cluster: The broker.
        plan: How much is measured.
        core: The processor core of the workers.
        folder: Where workers keep their logs.
        console: Gets progress lines.
    """

    def __init__(self, cluster: Cluster, plan: Plan, core: int, folder: Path, console: Console) -> None:
        self._cluster = cluster
        self._plan = plan
        self._core = core
        self._folder = folder
        self._console = console
        self._runs: dict[tuple[str, str], list[report.Run]] = defaultdict(list)
        self._errors: dict[tuple[str, str], list[str]] = defaultdict(list)

    async def measure(self) -> list[report.Row]:
        """Publish the claims, measure all engines in turns, and return their rows."""
        self._console.print(f"Publishing {self._plan.events:,} claims")
        await self._cluster.create([SOURCE])
        sent = await publish(self._cluster.bootstrap_servers, SOURCE, self._plan.events)
        whole = self._slice(sent, self._plan.events)
        end = self._slice(sent, self._plan.faust_events)
        parts = {engine.name: end if engine.name == FAUST else whole for engine in ENGINES}
        for turn in range(1, self._plan.runs + 1):
            for case in CASES:
                for engine in ENGINES:
                    await self._once(turn, case, engine, parts[engine.name])
        return [self._row(case, engine, parts[engine.name]) for case in CASES for engine in ENGINES]

    def _slice(self, sent: dict[int, int], events: int) -> Slice:
        """Return about the last `events` events: as many of each partition."""
        each = events // PARTITIONS
        whole = events >= self._plan.events
        starts = {partition: 0 if whole else max(0, count - each) for partition, count in sent.items()}
        count = sum(sent[partition] - start for partition, start in starts.items())
        return Slice(topic=SOURCE, starts=starts, events=count, expected=expected(self._plan.events, starts))

    async def _once(self, turn: int, case: str, engine: Engine, part: Slice) -> None:
        job = Job(
            name=f"bench-{case}-{engine.name}-{turn}",
            case=case,
            bootstrap_servers=self._cluster.bootstrap_servers,
            source=part.topic,
            core=self._core,
            data_dir=str(self._folder),
            web_port=free_port(),
        )
        where = f"{case:<10} {engine.name:<11} run {turn}/{self._plan.runs}"
        try:
            found = await run(self._cluster, engine, part, job)
        except MeasureError as error:
            self._errors[case, engine.name].append(str(error))
            self._console.print(f"{where}  [red]error[/]: {error}")
        else:
            self._runs[case, engine.name].append(found)
            self._console.print(
                f"{where}  {found.events_per_s:>9,.0f} events/s  {found.events_per_cpu_s:>9,.0f} events/CPU s"
            )

    def _row(self, case: str, engine: Engine, part: Slice) -> report.Row:
        return report.row_of(
            case=case,
            engine=engine.name,
            guarantee=engine.guarantee,
            events=part.events,
            runs=self._runs[case, engine.name],
            settings=engine.settings,
            errors=self._errors[case, engine.name],
        )


def split_cores() -> int:
    """Keep this process, and what it starts, off one core; return that one, for the workers."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[:-1]) or {cores[-1]})
    return cores[-1]


def bench_settings(base: Settings) -> Settings:
    """Return the settings of the benchmark's own stack: own data, the usual ports, no other brokers."""
    own = {"data_dir": base.data_dir / "bench", "bootstrap_servers": None, "registry_url": None}
    return base.model_copy(update=own)


def measure(plan: Plan, console: Console) -> list[report.Row]:
    """Measure on an embedded stack that is up for as long as it takes."""
    parts = StackPaths.of(settings()).parts
    chosen = bench_settings(settings())
    core = split_cores()
    stack = EmbeddedStack(chosen, parts_dir=parts, say=console.print)
    stack.wipe()

    async def on_stack() -> list[report.Row]:
        async with Cluster(chosen.kafka) as cluster:
            return await Bench(cluster, plan, core, stack.paths.root / "workers", console).measure()

    try:
        with stack:
            return asyncio.run(on_stack())
    finally:
        stack.wipe()


def main(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A rough answer within three minutes.")] = False,
    output: Annotated[Path, typer.Option(help="Where to write the results.")] = report.RESULTS
    / f"{NAME}.json",
) -> None:
    """Measure routing and summing: the engine, stock Faust and the bare client on the same topic."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    machine = report.machine()
    try:
        rows = measure(QUICK if quick else FULL, console)
    except EventfleetError as error:
        typer.secho(f"bench: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.secho("bench: interrupted, nothing written", err=True)
        raise typer.Exit(130) from None
    found = report.Report(
        machine=machine,
        versions=report.versions(),
        date=report.now(),
        command=f"python -m benchmarks.{NAME}{' --quick' if quick else ''}",
        rows=rows,
        ratios=report.ratios_of(rows),
    )
    report.write(found, output)
    console.print(report.table(found))
    console.print(f"ratio: how many times its rate {report.PRODUCT} has. CPU seconds are the worker's.")
    for row in rows:
        if row.error:
            console.print(f"[red]error[/] {row.case} {row.engine}: ", end="")
            console.print(row.error, markup=False)
    console.print(f"Written to {output}")
    if any(row.error for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
