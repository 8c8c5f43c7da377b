"""What one run of the benchmark measures, and how much of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import report, sittings
from benchmarks.engines import LATENCY, RECOVERY, Engine
from benchmarks.growth import GROWTH, Growths, Scale
from benchmarks.inputs import Feed, Inputs, Size
from benchmarks.latency import Latencies, Stretch
from benchmarks.queries import Asking, Queries
from benchmarks.recovery import Recoveries
from benchmarks.report import Report, Sitting
from benchmarks.rig import Rig
from benchmarks.sittings import Found
from benchmarks.throughput import Throughput
from benchmarks.timed_inputs import TimedInputs
from benchmarks.workers.job import AGGREGATES, QUERY


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured in each case."""

    size: Size
    recovery_keys: int
    recovery_runs: int
    stretch: Stretch
    scale: Scale
    asking: Asking


FULL = Extent(
    size=Size(claims=600_000, charges=2_500_000, steady_s=4.0, warmup_events=1_000_000, timed=1_200_000),
    recovery_keys=1_000_000,
    recovery_runs=3,
    stretch=Stretch(seconds=5.0, warmup_s=20.0, turns=2, warmup_events=1_000_000),
    scale=Scale(events=2_200_000, keys=(1_000, 10_000, 100_000, 1_000_000, 10_000_000), runs=2),
    asking=Asking(before=200_000, seconds=15.0, keys_per_s=100, tops_per_s=2),
)
QUICK = Extent(
    size=Size(claims=100_000, charges=200_000, steady_s=2.0, warmup_events=100_000, timed=200_000),
    recovery_keys=1_000_000,
    recovery_runs=1,
    stretch=Stretch(seconds=2.0, warmup_s=20.0, turns=1, warmup_events=50_000),
    scale=Scale(events=100_000, keys=(1_000, 10_000, 100_000), runs=1),
    asking=Asking(before=130_000, seconds=3.0, keys_per_s=100, tops_per_s=2),
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


class Measuring:
    """The cases of a plan, each measured as a whole.

    Args:
        rig: The broker and the core.
        plan: What to measure.
    """

    def __init__(self, rig: Rig, plan: Plan) -> None:
        self._rig = rig
        self._plan = plan
        self._inputs = Inputs(plan.extent.size)
        self._timed = TimedInputs(plan.extent.size)
        self._published: set[Feed] = set()

    async def of(self, case: str) -> Found:
        """Measure one case."""
        rig, plan, extent = self._rig, self._plan, self._plan.extent
        if case == RECOVERY:
            turns = min(plan.runs, extent.recovery_runs)
            recoveries = Recoveries(rig, plan.engines, extent.recovery_keys, turns)
            return Found(recovery=await recoveries.measure())
        if case == LATENCY:
            return Found(latency=await Latencies(rig, plan.engines, extent.stretch).measure())
        if case == QUERY:
            return Found(latency=await Queries(rig, plan.engines, extent.asking).measure())
        feed: Feed = self._timed if case in AGGREGATES else self._inputs
        await self._publish(feed)
        if case == GROWTH:
            return Found(growth=await Growths(rig, plan.product, extent.scale, self._inputs).measure())
        return Found(rows=await Throughput(rig, plan.engines, [case], plan.runs, feed).measure())

    async def _publish(self, feed: Feed) -> None:
        """Publish, once, what several cases read."""
        if feed not in self._published:
            self._rig.say("Publishing the input")
            await feed.publish(self._rig.cluster, self._rig.registry_url)
            self._published.add(feed)


async def measure_on(rig: Rig, plan: Plan, begun: Report, keep: Callable[[Report], None]) -> Report:
    """Measure everything in `plan`, one case after the other.

    Args:
        rig: The broker and the core.
        plan: What to measure.
        begun: The report to begin with.
        keep: Gets the report each time a case is finished.
    """
    measuring, found, commit = Measuring(rig, plan), begun, sittings.commit()
    for case in plan.cases:
        load, since = report.load(), time.monotonic()
        figures = await measuring.of(case)
        sitting = Sitting(
            commit=commit,
            date=report.now(),
            command=begun.command,
            load_before=load,
            took_s=round(time.monotonic() - since, 1),
        )
        found = sittings.with_case(found, case, figures, sitting)
        keep(found)
    return found
