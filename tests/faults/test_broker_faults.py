"""The broker dies, or stands still for a while: the workers wait, and go on exactly where they were."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_fixtures import SESSION_TIMEOUT_S
from tests.support.lane_load import EVENTS, Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_broker import Broker
    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLICE = EVENTS // 10
PULSE_S = 0.3
PULSES = 8
PER_SECOND = 2000


async def test_a_broker_killed_twice_under_load_leaves_exact_results(
    broker: Broker, cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Kill -9 with transactions in flight, twice: the workers live on and finish by themselves."""
    load = await Load.prepared(cluster, unique, seed=20260130, poison_share=0.01)
    workers = new_workers(load.app_id, load.source)
    workers.environment["LANE_CHUNK_RECORDS"] = "50"
    both = await workers.all_ready(2)
    for number in (1, 2):
        await load.send(SLICE)
        await load.reached(await load.committed() + SLICE // 10)
        assert not await load.is_consumed(), "killed too late to be amid the work"
        broker.kill()
        await broker.started_again()
        await load.live(both, f"death {number} of the broker")
    await load.consumed()
    await load.check()
    assert [worker.process.poll() for worker in both] == [None, None]


async def test_a_broker_that_stands_still_leaves_exact_results(
    broker: Broker, cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Short pauses of broker and workers cost nothing; after one longer than every time-out all goes on."""
    seed = 20260131
    load = await Load.prepared(cluster, unique, seed=seed, poison_share=0.01)
    workers, rng = new_workers(load.app_id, load.source), random.Random(seed)
    workers.environment["LANE_CHUNK_RECORDS"] = "50"
    both = await workers.all_ready(2)
    async with load.flowing(PER_SECOND):
        for _ in range(PULSES):
            await load.reached(await load.committed() + PER_SECOND // 10)
            await broker.paused(PULSE_S)
            worker = rng.choice(both)
            worker.signal(signal.SIGSTOP)
            await asyncio.sleep(PULSE_S)
            worker.signal(signal.SIGCONT)
        await load.live(both, "the pulses")
    await load.send(SLICE)
    await broker.paused(SESSION_TIMEOUT_S + 2)
    await load.live(both, "a broker that stood still past the session")
    await load.consumed()
    await load.check()
