"""An output topic takes less than it did: what no longer fits is set aside, and everything else goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.lane_ledger import LONG_BYTES
from tests.support.lane_load import EVENTS, Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLICE = EVENTS // 50


async def test_a_limit_lowered_under_workers_sets_aside_what_no_longer_fits(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Both workers fail with batches for the old limit, learn the new one, and lose and double nothing."""
    load = await Load.prepared(cluster, unique, seed=20260180, poison_share=0.01)
    load.ledger.long_share = 0.05
    workers = new_workers(load.app_id, load.source)
    both = await workers.all_ready(2)
    await load.live(both, "the start")
    await load.send(SLICE)
    await load.consumed()
    await cluster.limit(f"{load.source}-a", LONG_BYTES)
    load.ledger.outgrown = "a"
    await load.send(SLICE)
    await load.live(both, "the lower limit")
    await load.consumed()
    assert load.ledger.refused
    await load.check()
    assert [worker.process.poll() for worker in both] == [None, None]
