"""Field note: an agent that raises loses the event, and with ``take`` the whole batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lane_host import local_lane
from tests.support.lane_load import Load
from tests.support.stock_faust import all_committed, raw_topic, running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

EVENTS = [b"one", b"two", b"trouble", b"four"]


@pytest.mark.parametrize("by_batch", [False, True], ids=["by event", "by take"])
async def test_stock_faust_loses_what_its_agent_raises_on(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path, *, by_batch: bool
) -> None:
    """All is committed; the event, or every event of the batch, was processed by nobody."""
    source, done = unique("source"), []
    await cluster.create({source: 1})
    app = stock_app(unique("app"), tmp_path, cluster)

    def work(events: list[Any]) -> None:
        if b"trouble" in events:
            raise ValueError(events)
        done.extend(events)

    async def agent(stream: Any) -> None:
        if by_batch:
            async for events in stream.take(len(EVENTS), within=5):
                work(events)
        else:
            async for event in stream:
                work([event])

    app.agent(raw_topic(app, source))(agent)
    await cluster.send(source, [(None, event) for event in EVENTS], partitions=1, at=0)
    async with running(app):
        await all_committed(cluster, app, source)
    assert done == ([] if by_batch else [b"one", b"two", b"four"])


async def test_the_lane_sets_aside_what_its_agent_raises_on(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Each such event is one dead letter, in the transaction of its chunk; the others are processed."""
    load = await Load.prepared(cluster, unique, seed=21, poison_share=0.05)
    await load.send(1000)
    async with local_lane(load):
        await load.consumed()
    assert load.ledger.poison
    await load.check()
