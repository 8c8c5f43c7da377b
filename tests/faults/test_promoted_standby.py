"""A standby that lags takes over from an owner that was killed: it works only once it has caught up."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_load import EVENTS, LIMIT_S, PARTITIONS, Load, copied
from tests.support.lane_stores import sums_on_disk

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLICE = EVENTS // 100
PER_SECOND = 1000
SLOW_S = "0.9"


async def test_a_standby_that_lags_is_promoted_only_when_it_has_caught_up(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """The owner dies with transactions open; the copies have stood still while it went on.

    What they miss is read before anything is summed: changelog and tables are exact.
    """
    load = await Load.prepared(cluster, unique, seed=20260190, poison_share=0.01)
    workers = new_workers(load.app_id, load.source)
    still = workers.folder / "standbys-wait"
    workers.environment |= {
        "EVENTFLEET_STANDBYS": "1",
        "EVENTFLEET_STORE": "rocksdb",
        "LANE_SLOW_S": SLOW_S,
        "LANE_CHUNK_RECORDS": "2000",
        "LANE_STANDBYS_WAIT": str(still),
    }
    first, second = await workers.all_ready(2)
    await load.live([first, second], "the start")
    await load.send(SLICE)
    await load.consumed()
    await copied(second)
    kept = {task["partition"] for task in await second.tasks()}
    still.touch()
    async with load.flowing(PER_SECOND):
        # The first of them may still be read: it ends a fetch that was on its way.
        for number in ("first", "second"):
            await load.live([first, second], f"the {number} commit that the copies are to miss")
        first.kill()
        await load.live([second], "kill -9 of an owner whose standby lags")
    loaded = {task["partition"]: task["loaded"] for task in await second.tasks()}
    assert all(loaded[partition] > 0 for partition in set(range(PARTITIONS)) - kept)
    await load.consumed()
    await load.check()
    second.signal(signal.SIGTERM)
    assert await second.ended(LIMIT_S) == 0
    assert sums_on_disk(workers.folder / "data" / "tables", second.port) == load.ledger.sums
