"""One, three and one workers under load, while transactions take far longer than a rebalance."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_load import EVENTS, Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLOW_S = "0.9"
PER_SECOND = 1000
STOPS_WITHIN_S = 60.0


async def test_slow_transactions_while_workers_come_and_go_leave_exact_results(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Two join, one is told to stop, one is killed: a transaction is in flight each time."""
    load = await Load.prepared(cluster, unique, seed=20260120, poison_share=0.01)
    workers = new_workers(load.app_id, load.source)
    workers.environment |= {"LANE_SLOW_S": SLOW_S, "LANE_CHUNK_RECORDS": "2000"}
    async with load.flowing(PER_SECOND):
        first = workers.start()
        await load.live([first], "the first worker's start")
        second = workers.start()
        await load.live([first, second], "a second one's coming")
        third = workers.start()
        await load.live([first, second, third], "a third one's coming")
        first.signal(signal.SIGTERM)
        await load.live([second, third], "one's going")
        assert await first.ended(STOPS_WITHIN_S) == 0
        second.kill()
        await load.live([third], "kill -9")
    await load.send(EVENTS // 40)
    await load.consumed()
    await load.check()
