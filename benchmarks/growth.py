"""What an event costs as partitions, workers, rows and rules grow: `growth` of ``CASES.md``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import verify
from benchmarks.charges import Charged, charges
from benchmarks.claims import Routed
from benchmarks.engines import Engine, Part
from benchmarks.figures import Growth
from benchmarks.inputs import CLAIMS, Inputs, end_of
from benchmarks.measure import MeasureError
from benchmarks.publish import publish
from benchmarks.rig import Rig
from benchmarks.rules import many_rules
from benchmarks.runs import Run
from benchmarks.trial import Check, run
from benchmarks.workers.job import KEYED_SUM, ROUTE_ATTRIBUTES, Job

GROWTH = "growth"
WORKERS_GROW = "workers"
PARTITIONS_OF = (1, 4, 16)
WORKERS = (1, 2)
RULES = (10, 100, 1_000)
MEMBERS = 5_000
LONG = 2
"""How many times the measured events come before them where a run is not repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How far things grow.

    Attributes:
        events: Events of a table that are measured in a run: enough for seconds of steady work.
        keys: Rows of the table.
        runs: Repetitions; where `LONG` times as many come before, there is one.
    """

    events: int
    keys: Sequence[int]
    runs: int

    def runs_of(self, before: int) -> int:
        """Return the repetitions of a run that has `before` events before those that are measured."""
        return self.runs if before <= LONG * self.events else 1

    def before(self, keys: int, workers: Sequence[int]) -> int:
        """Return how many events come before those that are measured.

        Each row is there by then, and workers that share the work have found each other.
        """
        return keys if len(workers) == 1 else keys + self.events


class Growths:
    """The engine alone, as one thing grows and the others stay.

    Args:
        rig: The broker and the core.
        engine: The engine.
        scale: How far.
        inputs: The topics of the other cases, published.
    """

    def __init__(self, rig: Rig, engine: Engine, scale: Scale, inputs: Inputs) -> None:
        self._rig = rig
        self._engine = engine
        self._scale = scale
        self._inputs = inputs

    async def measure(self) -> list[Growth]:
        """Measure all of it."""
        rows = [await self._rules(count) for count in RULES]
        for partitions in PARTITIONS_OF:
            rows += await self._tables("partitions", partitions, MEMBERS, partitions, (1,))
        rows += await self._tables(WORKERS_GROW, 4, MEMBERS, None, WORKERS)
        for keys in self._scale.keys:
            rows += await self._tables("rows", 4, keys, keys, (1,))
        return rows

    async def _rules(self, count: int) -> Growth:
        part = self._inputs.part(self._engine, ROUTE_ATTRIBUTES)
        expected = self._inputs.routed_by(many_rules(count, str), part)

        async def check(job: Job) -> None:
            topics = {f"{job.name}-{suffix}": sums for suffix, sums in expected.topics.items()}
            await verify.check_routed(job, Routed(topics, expected.rules))

        def options(name: str) -> dict[str, Any]:
            return {"source": CLAIMS, "rules": many_rules(count, lambda suffix: f"{name}-{suffix}")}

        return await self._of("rules", count, ROUTE_ATTRIBUTES, part, check, options)

    async def _tables(
        self, what: str, partitions: int, keys: int, size: int | None, workers: Sequence[int]
    ) -> list[Growth]:
        """Measure keyed sums over `keys` members, all of which have a row before anything is measured."""
        topic = f"bench.{what}-{size or partitions}"
        charged = Charged(partitions)
        before = self._scale.before(keys, workers)
        made = charges(before + self._scale.events, partitions=partitions, members=keys, each=keys)
        await self._rig.cluster.create([topic], partitions)
        await publish(self._rig.cluster.bootstrap_servers, topic, made, charged)
        part = end_of(topic, charged.sizes, self._scale.events, before)

        async def check(job: Job) -> None:
            await verify.check_rows(self._engine, job, charged.sums(part.starts))

        def options(name: str) -> dict[str, Any]:
            del name
            return {"source": topic, "partitions": partitions}

        rows = [await self._of(what, size or number, KEYED_SUM, part, check, options) for number in workers]
        await self._rig.cluster.delete([topic])
        return rows

    async def _of(self, what: str, size: int, case: str, part: Part, check: Check, options: Any) -> Growth:
        runs, errors = [], []
        for turn in range(1, self._scale.runs_of(part.warmup_events) + 1):
            name = f"bench-{GROWTH}-{what}-{size}-{turn}"
            job = self._rig.job(self._engine, case, name, **options(name))
            try:
                rates = await run(
                    self._rig.cluster,
                    self._engine,
                    part,
                    job,
                    self._rig.core,
                    check,
                    workers=size if what == WORKERS_GROW else 1,
                )
            except MeasureError as error:
                errors.append(str(error))
            else:
                runs.append(Run.of(rates))
        failed = "; ".join(dict.fromkeys(errors))
        per_cpu_s = None if failed else median(each.events_per_cpu_s for each in runs)
        self._rig.say(f"{GROWTH:<16} {size:>10,} {what:<12} {failed or f'{per_cpu_s:>9,.0f} events/CPU s'}")
        return Growth(what=what, size=size, case=case, events_per_cpu_s=per_cpu_s, runs=runs, error=failed)
