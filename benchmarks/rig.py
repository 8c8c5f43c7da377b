"""What every measurement stands on: the broker, the core of the workers, and how a job is made."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.cluster import Cluster
from benchmarks.engines import Engine
from benchmarks.inputs import PARTITIONS, SCHEMA_PATH
from benchmarks.trial import free_port
from benchmarks.workers.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A running stack, and where workers run.

    Attributes:
        cluster: The broker.
        registry_url: Base URL of the schema registry.
        core: The one processor core of the workers.
        folder: Where workers keep what they write.
        say: Gets progress lines.
    """

    cluster: Cluster
    registry_url: str
    core: int
    folder: Path
    say: Callable[[str], None]

    def job(self, engine: Engine, case: str, name: str, **options: Any) -> Job:
        """Return the job of a run that is called `name`; `options` are fields of it."""
        job = Job(
            name=name,
            case=case,
            guarantee=engine.guarantee,
            bootstrap_servers=self.cluster.bootstrap_servers,
            registry_url=self.registry_url,
            source="",
            partitions=PARTITIONS,
            data_dir=str(self.folder / name),
            web_port=free_port(),
            ready_path=str(self.folder / f"{name}.ready"),
            schema_path=str(SCHEMA_PATH),
            store=engine.store,
        )
        return msgspec.structs.replace(job, **options)


@asynccontextmanager
async def rig(
    bootstrap_servers: str, registry_url: str, core: int, folder: Path, say: Callable[[str], None]
) -> AsyncIterator[Rig]:
    """Give a rig on a stack that is up."""
    async with Cluster(bootstrap_servers) as cluster:
        yield Rig(cluster=cluster, registry_url=registry_url, core=core, folder=folder, say=say)


def split_cores() -> int:
    """Keep this process, and what it starts, off one core; return that one, for the workers."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[:-1]) or {cores[-1]})
    return cores[-1]
