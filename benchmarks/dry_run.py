"""Dry-runs beside the live router, on the same events and core in turns: `python -m benchmarks.dry_run`.

The live router writes its copies; a dry-run decides by two sets of rules and writes nothing. Start-up
counts for neither.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
import typer
import uvloop
from rich.console import Console

from agents.router.dry_run.job import Job as DryRun
from agents.router.dry_run.job import Range
from agents.router.dry_run.process import Process
from benchmarks.claims import EVENT_TYPE
from benchmarks.engine import ENGINES, bench_settings
from benchmarks.engines import PRODUCT
from benchmarks.inputs import CLAIMS, Inputs
from benchmarks.measure import MeasureError, Rates
from benchmarks.plan import FULL
from benchmarks.rig import Rig, rig, split_cores
from benchmarks.rules import cel, rules_of
from benchmarks.trial import on_core, run
from benchmarks.workers.job import ROUTE_ATTRIBUTES, ROUTE_FIELDS
from fleet.people import for_people
from fleet.settings import Settings, settings
from stack.embedded import EmbeddedStack
from stack.paths import StackPaths

LIVE: Final = "live"
DRY: Final = "dry-run"
CASES: Final = {ROUTE_ATTRIBUTES: "attributes", ROUTE_FIELDS: "event"}
CHANGED: Final = {
    ROUTE_ATTRIBUTES: "attributes.priority == 'urgent'",
    ROUTE_FIELDS: "event.place_of_service == '11'",
}
"""What the draft of one of the 20 rules asks for besides."""


@for_people()
def main(
    *,
    runs: Annotated[int, typer.Option(help="Repetitions.", min=1)] = 3,
    claims: Annotated[int, typer.Option(help="Events that are measured.", min=1)] = 400_000,
) -> None:
    """Measure both, and print how many times the rate of the live router a dry-run has."""
    chosen, core, console = bench_settings(settings()), split_cores(), Console(highlight=False)
    stack = EmbeddedStack(chosen, parts_dir=StackPaths.of(settings()).parts, say=console.print)
    stack.wipe()
    try:
        with stack:
            folder = (stack.paths.root / "workers").absolute()
            uvloop.run(_measure(chosen, core, console, runs, claims, folder))
    finally:
        stack.wipe()


async def _measure(
    chosen: Settings, core: int, console: Console, runs: int, claims: int, folder: Any
) -> None:
    size = replace(FULL.size, claims=claims, charges=0, warmup_events=100_000)
    inputs = Inputs(size)
    async with rig(chosen.kafka, chosen.registry, core, folder, console.print) as ready:
        await inputs.publish(ready.cluster, chosen.registry)
        found: dict[tuple[str, str], list[Rates]] = defaultdict(list)
        for turn in range(1, runs + 1):
            for case in CASES:
                found[case, LIVE].append(await _live(ready, inputs, case, turn))
                found[case, DRY].append(await _dry(ready, chosen, case))
                told = (f"{what} {_told(found[case, what][-1])}" for what in (LIVE, DRY))
                console.print(f"{case:<17} run {turn}  {'  '.join(told)}")
    for case in CASES:
        live, dry = found[case, LIVE], found[case, DRY]
        by_clock = _times([each.events_per_s for each in dry], [each.events_per_s for each in live])
        by_cpu = _times([each.events_per_cpu_s for each in dry], [each.events_per_cpu_s for each in live])
        rates = f"{by_clock:.2f} times the rate of the live router, {by_cpu:.2f} by CPU time"
        console.print(f"{case}: a dry-run has {rates}")


def _told(rates: Rates) -> str:
    return f"{rates.events_per_s:>9,.0f} events/s {rates.events_per_cpu_s:>9,.0f} events/CPU s"


def _times(one: list[float], other: list[float]) -> float:
    return statistics.median(one) / statistics.median(other)


async def _live(ready: Rig, inputs: Inputs, case: str, turn: int) -> Rates:
    engine, name = ENGINES[PRODUCT], f"bench-dry-{case}-{turn}"
    part = inputs.part(engine, case)
    job = ready.job(engine, case, name, **inputs.job_options(case, name))
    return await run(ready.cluster, engine, part, job, ready.core, inputs.check(engine, case, part))


async def _dry(ready: Rig, chosen: Settings, case: str) -> Rates:
    rules = [
        {
            "name": rule.name,
            "version": 1,
            "owner": "benchmarks",
            "source": EVENT_TYPE,
            "targets": [rule.topic],
            "condition": cel(rule, CASES[case]),
            "state": "active",
        }
        for rule in rules_of(case, lambda suffix: f"bench-dry-{suffix}")
    ]
    draft = {**rules[0], "version": 2, "condition": f"{rules[0]['condition']} && {CHANGED[case]}"}
    job = DryRun(range=Range(topics=(CLAIMS,)), baseline=tuple(rules), draft=(draft, *rules[1:]))
    with on_core(ready.core):  # This process only waits meanwhile.
        report = await Process(chosen, job).run()
    if not report["diff"]["lost"] or report["errors"]["after"]["total"]:
        raise MeasureError(f"a dry-run found something else than it had to: {msgspec.json.encode(report)!r}")
    return Rates(report["read"], report["seconds"], report["cpu_s"])


if __name__ == "__main__":
    typer.run(main)
