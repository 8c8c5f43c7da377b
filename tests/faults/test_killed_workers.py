"""Workers killed outright while they work: nothing is lost, nothing is doubled, nobody has to help."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_load import EVENTS, Load, all_running

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

POISON_SHARE = 0.01


async def test_one_worker_killed_three_times_leaves_exact_results(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """200,000 events by default, kill -9 at three random moments amid the work, each time restarted."""
    seed = 20260101
    load = await Load.prepared(cluster, unique, seed=seed, poison_share=POISON_SHARE)
    await load.send(EVENTS)
    workers, rng = new_workers(load.app_id, load.source), random.Random(seed)
    for first, last in ((0.02, 0.25), (0.3, 0.55), (0.6, 0.9)):
        worker = workers.start()
        await load.reached(int(EVENTS * rng.uniform(first, last)))
        worker.kill()
        assert not await load.is_consumed(), "killed too late to be amid the work"
    workers.start()
    await load.consumed()
    await load.check()


async def test_a_rebalance_under_load_and_a_kill_leave_exact_results(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """A second worker joins amid the work and takes partitions over; then the first is killed."""
    load = await Load.prepared(cluster, unique, seed=20260102, poison_share=POISON_SHARE)
    await load.send(EVENTS)
    workers = new_workers(load.app_id, load.source)
    workers.environment["LANE_CHUNK_RECORDS"] = "25"  # Slow enough for all of it to happen amid the work.
    first = workers.start()
    await load.reached(EVENTS // 50)
    second = workers.start()
    await all_running([first, second])
    first.kill()
    assert not await load.is_consumed(), "killed too late to be amid the work"
    await all_running([second])
    await load.consumed()
    await load.check()
