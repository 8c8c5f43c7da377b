"""The peers of the benchmarks do what is measured: their sums are right."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.charges import Charged, charges
from benchmarks.engines import Engine, Part
from benchmarks.peers.engines import ENGINES
from benchmarks.peers.quix.command import PYTHON
from benchmarks.publish import publish
from benchmarks.rig import rig
from benchmarks.trial import prepare, progress_of, started
from benchmarks.verify import check_rows
from benchmarks.workers.job import KEYED_SUM
from fleet.settings import Settings
from tests.support.polling import until

EVENTS = 1_000
PARTITIONS = 4
MEMBERS = 50
LIMIT_S = 120.0
BY_NAME = {engine.name: engine for engine in ENGINES}


async def sums_are_right(engine: Engine, settings: Settings, folder: Path, name: str) -> None:
    """Let `engine` sum `EVENTS` events, and check every row of its changelog."""
    core = max(os.sched_getaffinity(0))
    async with rig(settings.kafka, settings.registry, core, folder, print) as on:
        source = f"{name}-charges"
        account = Charged(PARTITIONS)
        await on.cluster.create([source], PARTITIONS)
        events = charges(EVENTS, partitions=PARTITIONS, members=MEMBERS)
        await publish(on.cluster.bootstrap_servers, source, events, account)
        starts = dict.fromkeys(range(PARTITIONS), 0)
        part = Part(topic=source, starts=starts, events=EVENTS, warmup_events=0)
        job = on.job(engine, KEYED_SUM, name, source=source)
        await prepare(on.cluster, engine, job, part)
        progress = progress_of(on.cluster, job, part)

        async def all_done() -> bool:
            return await progress() == EVENTS

        with started(engine, job, core):
            await until(all_done, LIMIT_S, f"{EVENTS} events committed")
        assert (folder / f"{name}.ready").is_file()
        await check_rows(engine, job, account.sums(starts))


@pytest.mark.parametrize("name", ["kafka-streams-eos", "kafka-streams-alo"])
async def test_kafka_streams_sums_every_event_once(
    name: str, stack_settings: Settings, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """Its Java source compiles, it says when it is ready, and each row of its changelog is right."""
    await sums_are_right(BY_NAME[name], stack_settings, tmp_path, unique("streams"))


@pytest.mark.skipif(not PYTHON.is_file(), reason="quix-streams is installed by `make bench` alone")
@pytest.mark.parametrize("name", ["quix-eo", "quix-alo"])
async def test_quix_streams_sums_every_event_once(
    name: str, stack_settings: Settings, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """It says when it is ready, and each row of its changelog is right."""
    await sums_are_right(BY_NAME[name], stack_settings, tmp_path, unique("quix"))
