"""How long a worker takes to have its state again: `recovery` of ``CASES.md``."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from benchmarks import verify
from benchmarks.charges import Charged, charges
from benchmarks.engines import RECOVERY, Engine, Part
from benchmarks.figures import Recovery, RecoveryRun
from benchmarks.inputs import PARTITIONS, end_of
from benchmarks.measure import MeasureError, watch
from benchmarks.publish import publish
from benchmarks.rig import Rig
from benchmarks.trial import Worker, cleared, prepare, progress_of, started
from benchmarks.workers.job import KEYED_SUM, Job
from stack.process import telling_line

SOURCE = "bench.members"
MORE_EVENTS = 1_000
READY_POLL_S = 0.01
READY_LIMIT_S = 180.0


class Recoveries:
    """Starts of workers whose tables have many rows.

    Args:
        rig: The broker and the core.
        engines: What to measure.
        keys: Rows of the table.
        runs: Repetitions.
    """

    def __init__(self, rig: Rig, engines: Sequence[Engine], keys: int, runs: int) -> None:
        self._rig = rig
        self._engines = [engine for engine in engines if RECOVERY in engine.cases]
        self._keys = keys
        self._turns = runs
        self._charged = Charged(PARTITIONS)

    async def measure(self) -> list[Recovery]:
        """Publish an event a member, measure all engines in turns, and return their rows."""
        await self._rig.cluster.create([SOURCE], PARTITIONS)
        await self._publish(self._keys, 0)
        runs: dict[str, list[RecoveryRun]] = defaultdict(list)
        errors: dict[str, list[str]] = defaultdict(list)
        for turn in range(1, self._turns + 1):
            for engine in (engine for engine in self._engines if turn <= engine.max_runs):
                try:
                    runs[engine.name].append(await self._once(engine, turn))
                except MeasureError as error:
                    errors[engine.name].append(str(error))
                    self._rig.say(f"{RECOVERY:<16} {engine.name:<20} run {turn}  [red]error[/]: {error}")
        return [
            Recovery.of(each.name, each.guarantee, each.store, runs[each.name], errors[each.name])
            for each in self._engines
        ]

    async def _publish(self, count: int, skipped: int) -> None:
        """Publish the members' first events, or `count` more events of any of them."""
        made = charges(skipped + count, partitions=PARTITIONS, members=self._keys, each=self._keys)
        events = islice(made, skipped, None)
        await publish(self._rig.cluster.bootstrap_servers, SOURCE, events, self._charged)

    async def _once(self, engine: Engine, turn: int) -> RecoveryRun:
        name = f"bench-{RECOVERY}-{engine.name}-{turn}"
        sizes = self._charged.sizes
        part = part_for(engine, self._keys, sizes)
        job = self._rig.job(engine, KEYED_SUM, name, source=SOURCE)
        async with cleared(self._rig.cluster, name, Path(job.data_dir)):
            empty_s = await self._empty_start_s(engine, name)
            await prepare(self._rig.cluster, engine, job, part)
            with started(engine, job, self._rig.core) as worker:
                await self._all_done(worker, job, part)
            kept_s = None
            if engine.store == "rocksdb":
                with started(engine, job, self._rig.core) as worker:
                    kept_s = await ready_s(worker, job)
            shutil.rmtree(job.data_dir)
            with started(engine, job, self._rig.core) as worker:
                loaded_s = await ready_s(worker, job)
                part = await self._more(part)
                await self._all_done(worker, job, part)
            rows = self._charged.sums(part.starts)
            await verify.check_rows(engine, job, rows)
        found = RecoveryRun(rows=len(rows), empty_s=empty_s, loaded_s=loaded_s, kept_s=kept_s)
        self._rig.say(
            f"{RECOVERY:<16} {engine.name:<20} run {turn}  {len(rows):>9,} rows in {loaded_s:.2f} s, "
            f"{empty_s:.2f} s without state"
        )
        return found

    async def _empty_start_s(self, engine: Engine, name: str) -> float:
        """Measure a start at the end of the source, with no state at all."""
        job = self._rig.job(engine, KEYED_SUM, f"{name}-none", source=SOURCE)
        nothing = Part(topic=SOURCE, starts=self._charged.sizes, events=0, warmup_events=0)
        await prepare(self._rig.cluster, engine, job, nothing)
        with started(engine, job, self._rig.core) as worker:
            return await ready_s(worker, job)

    async def _more(self, part: Part) -> Part:
        """Publish a few events more: their sums are wrong where the state was not loaded right."""
        await self._publish(MORE_EVENTS, sum(self._charged.sizes.values()))
        return longer(part, self._charged.sizes)

    async def _all_done(self, worker: Worker, job: Job, part: Part) -> None:
        await watch(worker.cpu_s, progress_of(self._rig.cluster, job, part), part.events)


def part_for(engine: Engine, keys: int, sizes: Mapping[int, int]) -> Part:
    """Return what makes the state of `engine`: all that is published, or the end that it can hold."""
    wanted = sum(sizes.values()) if engine.state_keys >= keys else engine.state_keys
    return end_of(SOURCE, sizes, wanted, 0)


def longer(part: Part, sizes: Mapping[int, int]) -> Part:
    """Return `part` with all that was published since."""
    events = sum(size - part.starts[partition] for partition, size in sizes.items())
    return Part(topic=part.topic, starts=part.starts, events=events, warmup_events=0)


async def ready_s(worker: Worker, job: Job) -> float:
    """Return the seconds from now, when `worker` was started, until it says that it processes.

    Raises:
        MeasureError: It ended, or was not ready in time.
    """
    begun = time.monotonic()
    ready = Path(job.ready_path)
    while not await asyncio.to_thread(ready.exists):
        worker.cpu_s()
        await asyncio.sleep(READY_POLL_S)
        if time.monotonic() - begun > READY_LIMIT_S:
            raise MeasureError(f"not ready after {READY_LIMIT_S:g} s: {telling_line(worker.log)}")
    return time.monotonic() - begun
