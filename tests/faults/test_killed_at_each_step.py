"""A worker killed outright at each step of its work: what was not committed is done again, nothing else."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_hooks import STEPS
from tests.support.lane_load import EVENTS, Load
from tests.support.stack import free_ports
from tests.support.together import together

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLICE = EVENTS // 40
DIES_WITHIN_S = 60
AT_ONCE = 5
OF_AN_ACQUIRE = ("fenced", "loading")


async def test_a_worker_killed_at_any_step_leaves_exact_results(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Each step in an app of its own: killed there amid the work, the next one at once; a third stays.

    They have one folder, so each opens the RocksDB tables that the last one left.
    """

    async def story(step: str) -> None:
        load = await Load.prepared(cluster, unique, seed=20260110 + STEPS.index(step), poison_share=0.01)
        await load.send(SLICE)
        workers = new_workers(load.app_id, load.source)
        workers.environment["EVENTFLEET_STORE"] = "rocksdb"
        (port,) = free_ports(1)
        # A step of an acquire tells more when there is state to take over.
        amid_the_work = "committed:8" if step in OF_AN_ACQUIRE else f"{step}:8"
        for kill_at in (amid_the_work, f"{step}:1"):
            workers.environment["LANE_KILL_AT"] = kill_at
            assert await workers.start(port).ended(DIES_WITHIN_S) == -signal.SIGKILL
        del workers.environment["LANE_KILL_AT"]
        await load.live([workers.start(port)], f"kill -9 at the step {step}")
        await load.consumed()
        await load.check()

    await together({step: story(step) for step in STEPS}, at_once=AT_ONCE)
