"""Field notes: Faust only logs that an agent is stuck, and waits for it without a bound when it stops."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lane_host import LIMIT_S, local_lane, summing_agent
from tests.support.lane_load import Load
from tests.support.polling import until
from tests.support.stock_faust import raw_topic, running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fleet.lane import Chunk
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

WAIT_S = 3.0
HOUR_S = 3600.0


async def test_stock_faust_leaves_a_stuck_agent_alone_and_waits_for_it(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """After an hour its livelock detection has written a line at most; a stop's `wait_empty` does not end.

    The lane's half of the first is `test_trap_6_assigned_means_it_gets_on`: a watchdog that acquires anew.
    """
    source, stuck, started = unique("source"), asyncio.Event(), list[Any]()
    await cluster.create({source: 1})
    app = stock_app(unique("app"), tmp_path, cluster, stream_wait_empty=False)

    async def agent(stream: Any) -> None:
        async for event in stream:
            started.append(event)
            await stuck.wait()

    app.agent(raw_topic(app, source))(agent)

    async def at_work() -> bool:
        return bool(started)

    await cluster.send(source, [(None, b"one"), (None, b"two")], partitions=1, at=0)
    async with running(app):
        await until(at_work, LIMIT_S, "an event in the agent's hands")
        (tp,) = app.consumer.assignment()
        app.consumer.verify_event_path(time.monotonic() + HOUR_S, tp)
        waiting = asyncio.ensure_future(app.consumer.wait_empty())
        done, _ = await asyncio.wait({waiting}, timeout=WAIT_S)
        assert not done
        assert not app.crashed
        assert started == [b"one"]
        stuck.set()
        await asyncio.wait({waiting}, timeout=LIMIT_S)


async def test_the_lane_stops_though_an_agent_is_stuck(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """The stop is bounded, nothing of the stuck chunk is committed, and the next worker does it."""
    load, stuck = await Load.prepared(cluster, unique, seed=25), asyncio.Event()

    async def prepare(chunk: Chunk) -> None:
        del chunk
        stuck.set()
        await asyncio.Event().wait()

    await load.send(400)
    async with local_lane(load, replace(summing_agent(load), prepare=prepare)) as lane:
        await asyncio.wait({asyncio.ensure_future(stuck.wait())}, timeout=LIMIT_S)
        stopping = asyncio.ensure_future(lane.host.stop())
        done, _ = await asyncio.wait({stopping}, timeout=LIMIT_S)
        assert done
        assert lane.host.tasks() == []
    assert await load.committed() == 0
    async with local_lane(load):
        await load.consumed()
    await load.check()
