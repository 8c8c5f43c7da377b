"""What one run of the benchmark measures, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import report
from benchmarks.engines import LATENCY, RECOVERY, Engine
from benchmarks.goals import goals
from benchmarks.growth import GROWTH, Growths, Scale
from benchmarks.inputs import Inputs, Size
from benchmarks.latency import Latencies, Stretch
from benchmarks.recovery import Recoveries
from benchmarks.rig import Rig
from benchmarks.runs import ratios_of
from benchmarks.throughput import Throughput
from benchmarks.workers.job import CASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured in each case."""

    size: Size
    recovery_keys: int
    recovery_runs: int
    stretch: Stretch
    scale: Scale


FULL = Extent(
    size=Size(events=500_000, warmup_events=1_000_000),
    recovery_keys=1_000_000,
    recovery_runs=3,
    stretch=Stretch(seconds=6.0, turns=3, warmup_events=1_000_000),
    scale=Scale(events=500_000, keys=(1_000, 10_000, 100_000, 1_000_000, 10_000_000), runs=3),
)
QUICK = Extent(
    size=Size(events=100_000, warmup_events=100_000),
    recovery_keys=1_000_000,
    recovery_runs=1,
    stretch=Stretch(seconds=2.0, turns=1, warmup_events=50_000),
    scale=Scale(events=100_000, keys=(1_000, 10_000, 100_000), runs=1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        engines: Of these engines.
        cases: These cases.
        runs: Repetitions of the cases that are measured by rates.
        extent: How much in each.
        product: The engine whose growth is measured.
    """

    engines: Sequence[Engine]
    cases: Sequence[str]
    runs: int
    extent: Extent
    product: Engine


async def measure_on(rig: Rig, plan: Plan, command: str) -> report.Report:
    """Measure everything in `plan`, one thing after the other."""
    machine = report.machine()
    extent, inputs = plan.extent, Inputs(plan.extent.size)
    by_rate = [case for case in CASES if case in plan.cases]
    if by_rate or GROWTH in plan.cases:
        rig.say("Publishing the input")
        await inputs.publish(rig.cluster, rig.registry_url)
    rows = await Throughput(rig, plan.engines, by_rate, plan.runs, inputs).measure()
    recovery = (
        await Recoveries(
            rig, plan.engines, extent.recovery_keys, min(plan.runs, extent.recovery_runs)
        ).measure()
        if RECOVERY in plan.cases
        else []
    )
    latency = await Latencies(rig, plan.engines, extent.stretch).measure() if LATENCY in plan.cases else []
    growth = await Growths(rig, plan.product, extent.scale, inputs).measure() if GROWTH in plan.cases else []
    return report.Report(
        machine=machine,
        versions=report.versions(),
        date=report.now(),
        command=command,
        rows=rows,
        ratios=ratios_of(rows),
        recovery=recovery,
        latency=latency,
        growth=growth,
        goals=goals(rows, recovery, latency, growth),
    )
