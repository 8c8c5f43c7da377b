"""Events per second, and per CPU second, of all engines on the same input, in turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from benchmarks.engines import Engine
from benchmarks.inputs import Feed
from benchmarks.measure import MeasureError
from benchmarks.rig import Rig
from benchmarks.runs import Row, Run, row_of
from benchmarks.trial import run
from benchmarks.workers.job import of_workers


class Throughput:
    """The cases that are measured by their rates.

    Args:
        rig: The broker and the core.
        engines: What to measure.
        cases: Which cases.
        runs: Repetitions.
        inputs: The topics, published.
    """

    def __init__(
        self, rig: Rig, engines: Sequence[Engine], cases: Sequence[str], runs: int, inputs: Feed
    ) -> None:
        self._rig = rig
        self._engines = engines
        self._cases = cases
        self._turns = runs
        self._inputs = inputs
        self._runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
        self._errors: dict[tuple[str, str], list[str]] = defaultdict(list)

    async def measure(self) -> list[Row]:
        """Run all engines in turns, and return their rows."""
        for turn in range(1, self._turns + 1):
            for case, engine in self._pairs():
                if turn <= engine.max_runs:
                    await self._once(turn, case, engine)
        return [self._row(case, engine) for case, engine in self._pairs()]

    def _pairs(self) -> list[tuple[str, Engine]]:
        return [(case, engine) for case in self._cases for engine in self._engines if case in engine.cases]

    async def _once(self, turn: int, case: str, engine: Engine) -> None:
        name = f"bench-{case}-{engine.name}-{turn}"
        part = self._inputs.part(engine, case)
        job = self._rig.job(engine, of_workers(case), name, **self._inputs.job_options(case, name))
        check = self._inputs.check(engine, case, part)
        where = f"{case:<16} {engine.name:<20} run {turn}"
        try:
            found = Run.of(await run(self._rig.cluster, engine, part, job, self._rig.core, check))
        except MeasureError as error:
            self._errors[case, engine.name].append(str(error))
            self._rig.say(f"{where}  [red]error[/]: {error}")
        else:
            self._runs[case, engine.name].append(found)
            rate, per_cpu_s = found.events_per_s, found.events_per_cpu_s
            self._rig.say(f"{where}  {rate:>9,.0f} events/s  {per_cpu_s:>9,.0f} events/CPU s")

    def _row(self, case: str, engine: Engine) -> Row:
        part = self._inputs.part(engine, case)
        return row_of(
            case=case,
            engine=engine.name,
            guarantee=engine.guarantee,
            events=part.events - part.warmup_events,
            runs=self._runs[case, engine.name],
            settings=engine.settings,
            errors=self._errors[case, engine.name],
        )
