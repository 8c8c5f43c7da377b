"""One run of one engine on one case: start the worker, watch it, stop it, check what it wrote."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import report, verify
from benchmarks.claims import Expected
from benchmarks.cluster import Cluster
from benchmarks.measure import MeasureError, rates, watch
from benchmarks.workers.job import ROUTE, Job
from stack.process import Identity, spawn, telling_line, terminate

GRACE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One of what is measured.

    Attributes:
        name: Name in the results.
        guarantee: ``exactly_once`` or ``at_least_once``.
        module: The worker's module.
        settings: How it is set, for the results.
    """

    name: str
    guarantee: str
    module: str
    settings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The part of the source topic that an engine processes: all from `starts` on.

    Attributes:
        topic: The source topic.
        starts: First offset by partition.
        events: Number of events from there on.
        expected: What must come out.
    """

    topic: str
    starts: Mapping[int, int]
    events: int
    expected: Expected


async def run(cluster: Cluster, engine: Engine, part: Slice, job: Job) -> report.Run:
    """Measure one run.

    Raises:
        MeasureError: The worker failed, or did not write what it had to.
    """
    targets = {suffix: job.target(suffix) for suffix in part.expected.routed} if job.case == ROUTE else {}
    changelogs = [] if job.case == ROUTE else [job.changelog]
    topics = [*targets.values(), job.dead_letters]
    await cluster.create(topics, compacted=changelogs)
    if any(part.starts.values()):
        await cluster.start_at(job.name, part.topic, part.starts)

    async def progress() -> int:
        committed = await cluster.committed(job.name, part.topic)
        return sum(max(0, offset - part.starts[partition]) for partition, offset in committed.items())

    with worker(engine, job) as (process, log):
        try:
            samples = await watch(process, progress, part.events)
        except MeasureError as error:
            raise MeasureError(f"{error}; its log says: {telling_line(log)}") from None
    if targets:
        await verify.check_routed(cluster.bootstrap_servers, targets, part.expected)
    else:
        await verify.check_sums(cluster.bootstrap_servers, job.changelog, part.expected)
    await cluster.delete([*topics, *changelogs])
    return report.Run.of(rates(samples))


@contextmanager
def worker(engine: Engine, job: Job) -> Iterator[tuple[psutil.Process, Path]]:
    """Run a worker inside the block; gives its process and its log. It is gone afterwards."""
    log = Path(job.data_dir) / f"{job.name}.log"
    command = [sys.executable, "-m", engine.module, job.argument()]
    child = spawn(command, folder=report.ROOT, log=log, dies_with_parent=True)
    identity = Identity.of(child.pid)
    try:
        if identity is None:
            raise MeasureError(f"the worker did not start; its log says: {telling_line(log)}")
        yield psutil.Process(child.pid), log
    finally:
        if identity is not None:
            terminate(identity, grace_s=GRACE_S)
        child.wait()


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
