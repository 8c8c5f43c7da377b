"""An owner that sleeps past its session and wakes: others have its partitions, and keep them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_load import Load, all_running

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLICE = 50_000


async def test_a_stale_owner_that_wakes_changes_nothing(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """One of two stands still past its session, a third joins, the second is killed, the first wakes.

    It sleeps with a chunk computed and its transaction about to begin: only the fence keeps that out.
    A fourth joins then. All partitions stay live, and tables and outputs are exact.
    """
    load = await Load.prepared(cluster, unique, seed=20260103, poison_share=0.01)
    workers = new_workers(load.app_id, load.source)
    workers.environment |= {"LANE_CHUNK_RECORDS": "50", "LANE_STOP_AT": "beginning:20"}
    first = workers.start()
    del workers.environment["LANE_STOP_AT"]
    second = workers.start()
    await all_running([first, second])
    await load.send(2 * SLICE)
    await all_running([second])
    third = workers.start()
    await load.send(SLICE)
    await all_running([second, third])
    second.kill()
    first.signal(signal.SIGCONT)
    await load.send(SLICE)
    await all_running([first, third])
    fourth = workers.start()
    await all_running([first, third, fourth])
    await load.send(SLICE)
    await load.consumed()
    await load.check()
