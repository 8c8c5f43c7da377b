"""The disk of the tables is full: the worker pauses and says so, and goes on once there is room."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_disk import small_disk
from tests.support.lane_load import EVENTS, LIMIT_S, PARTITIONS, Load
from tests.support.lane_stores import sums_on_disk
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLICE = EVENTS // 100
PER_SECOND = 500
FULL = "the disk is full: free some space"


async def test_a_disk_that_fills_up_under_load_costs_a_pause(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Every partition says in one line what to do; with room again changelog and tables are exact."""
    load = await Load.prepared(cluster, unique, seed=20260170, poison_share=0.01)
    workers = new_workers(load.app_id, load.source)
    workers.environment["EVENTFLEET_STORE"] = "rocksdb"
    said: dict[int, str] = {}
    with small_disk(workers.folder / "data" / "tables") as disk:
        worker = workers.start()
        await load.live([worker], "the start")

        async def all_full() -> bool:
            disk.fill(worker.process.pid)
            tasks = await worker.tasks()
            said.update({task["partition"]: task["reason"] for task in tasks if FULL in task["reason"]})
            return len(said) == PARTITIONS

        async with load.flowing(PER_SECOND):
            await until(all_full, LIMIT_S, "every partition saying so")
            disk.free(worker.process.pid)
            await load.live([worker], "the full disk")
        await load.send(SLICE)
        await load.consumed()
        assert not any("\n" in line for line in said.values())
        await load.check()
        worker.signal(signal.SIGTERM)
        assert await worker.ended(LIMIT_S) == 0
        assert sums_on_disk(disk.folder, worker.port) == load.ledger.sums
