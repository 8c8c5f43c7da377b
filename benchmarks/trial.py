"""One run of one engine on one case: start the worker, watch it, stop it, check what it wrote."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import psutil

from benchmarks.cluster import Cluster
from benchmarks.engines import Engine, Part
from benchmarks.measure import MeasureError, Rates, cpu_s, rates, watch
from benchmarks.repartitioned import Repartitioned
from benchmarks.workers.job import ROUTES, Job
from stack.process import Identity, spawn, telling_line, terminate

ROOT = Path(__file__).parents[1]
GRACE_S = 20.0


Check = Callable[[Job], Awaitable[None]]


class Worker:
    """A worker's process, or several that share its group.

    Attributes:
        log: Where it writes.
    """

    def __init__(self, processes: list[psutil.Process], log: Path) -> None:
        self._processes = processes
        self.log = log

    def cpu_s(self) -> float:
        """Return the CPU seconds so far, of all threads of all processes.

        Raises:
            MeasureError: A process has ended.
        """
        return sum(cpu_s(process) for process in self._processes)


async def prepare(cluster: Cluster, engine: Engine, job: Job, part: Part) -> None:
    """Create the topics of `job`, and let its group start at `part`."""
    targets = {rule.topic for rule in job.rules}
    await cluster.create([*targets, job.dead_letters], job.partitions, compacted=_changelogs(engine, job))
    begins_itself = engine.aggregates is not None and engine.aggregates.begun is not None
    if any(part.starts.values()) and not begins_itself:
        await cluster.start_at(job.name, part.topic, part.starts)
        if engine.mark is not None:
            await cluster.mark(engine.changelog(job), engine.mark, part.topic, part.starts)


def _changelogs(engine: Engine, job: Job) -> list[str]:
    """Return the changelogs that `engine` does not make itself."""
    stateless = job.case in ROUTES and engine.mark is None
    if engine.makes_changelog or stateless:
        return []
    return [engine.changelog(job)] if engine.aggregates is None else [*engine.aggregates.changelogs(job)]


def progress_of(cluster: Cluster, job: Job, part: Part) -> Callable[[], Awaitable[int]]:
    """Return what asks how many events of `part` the job's group has committed."""

    async def progress() -> int:
        committed = await cluster.committed(job.name, part.topic, job.partitions)
        return sum(max(0, offset - part.starts[partition]) for partition, offset in committed.items())

    return progress


@asynccontextmanager
async def _committed(cluster: Cluster, job: Job, part: Part) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    yield progress_of(cluster, job, part)


@asynccontextmanager
async def results_of(
    cluster: Cluster, engine: Engine, job: Job, part: Part
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Give what asks how many events of `part` are in the results.

    Where events are repartitioned it is about how many, until it is all: the share of what has been
    repartitioned that is aggregated. Engines write more or less than one record an event.
    """
    if engine.aggregates is None:
        yield progress_of(cluster, job, part)
        return
    begun, topics = engine.aggregates.begun or _committed, engine.aggregates.repartitions(job)
    async with (
        begun(cluster, job, part) as taken,
        Repartitioned(cluster, job.name, topics) as repartitioned,
    ):

        async def progress() -> int:
            return int(await taken() * await repartitioned.share())

        yield progress


async def run(
    cluster: Cluster, engine: Engine, part: Part, job: Job, core: int, check: Check, *, workers: int = 1
) -> Rates:
    """Measure one run.

    Args:
        cluster: The broker.
        engine: What to measure.
        part: What it processes.
        job: What it is told.
        core: The one core that it may use.
        check: Checks what was written.
        workers: How many workers share the work, and the core.

    Raises:
        MeasureError: The worker failed, or did not write what it had to.
    """
    async with cleared(cluster, job.name, Path(job.data_dir)):
        await prepare(cluster, engine, job, part)
        async with results_of(cluster, engine, job, part) as progress:
            with started(engine, job, core, workers=workers) as worker:
                try:
                    samples = await watch(worker.cpu_s, progress, part.events)
                except MeasureError as error:
                    raise MeasureError(f"{error}; its log says: {telling_line(worker.log)}") from None
        await check(job)
        return rates(samples, part.warmup_events)


@asynccontextmanager
async def cleared(cluster: Cluster, name: str, folder: Path) -> AsyncIterator[None]:
    """Remove, after the block, the topics of the run `name` and its `folder`.

    Not after an interruption: all goes with the stack then, and the client may be past answering.
    """
    try:
        yield
    except MeasureError:
        await _clear(cluster, name, folder)
        raise
    await _clear(cluster, name, folder)


async def _clear(cluster: Cluster, name: str, folder: Path) -> None:
    await cluster.delete_of(name)
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@contextmanager
def started(engine: Engine, job: Job, core: int, *, workers: int = 1) -> Iterator[Worker]:
    """Run workers inside the block, all on `core`. They are gone afterwards."""
    with ExitStack() as stack:
        processes, log = [], Path(job.data_dir).with_suffix(".log")
        for number in range(workers):
            own = job if number == 0 else _another(job, number)
            log = Path(own.data_dir).with_suffix(".log")
            processes.append(stack.enter_context(_started(engine, own, core, log)))
        yield Worker(processes, log)


def _another(job: Job, number: int) -> Job:
    return msgspec.structs.replace(
        job,
        web_port=free_port(),
        data_dir=f"{job.data_dir}-{number}",
        ready_path=f"{job.ready_path}-{number}",
    )


@contextmanager
def _started(engine: Engine, job: Job, core: int, log: Path) -> Iterator[psutil.Process]:
    Path(job.data_dir).mkdir(parents=True, exist_ok=True)
    path = Path(job.data_dir).with_suffix(".json")
    job.write(path)
    Path(job.ready_path).unlink(missing_ok=True)
    with on_core(core):
        child = spawn(engine.command(path), folder=ROOT, log=log, dies_with_parent=True)
    identity = Identity.of(child.pid)
    try:
        if identity is None:
            raise MeasureError(f"the worker did not start; its log says: {telling_line(log)}")
        yield psutil.Process(child.pid)
    finally:
        if identity is not None:
            terminate(identity, grace_s=GRACE_S)
        child.wait()


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this thread, and what is started inside the block, on `core` alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
