"""Field note: with ``concurrency > 1`` the commit goes past events that are still in flight.

`faust/transport/consumer.py:1140` compares with the wrong side of the gap, and with nothing
where nothing is committed yet (faust-streaming/faust#606).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lane_host import LIMIT_S, local_lane, summing_agent
from tests.support.lane_load import Load
from tests.support.polling import until
from tests.support.stock_faust import all_committed, raw_topic, running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fleet.lane import Chunk
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack


async def test_stock_faust_commits_past_an_event_in_flight(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """The first of three events is still being worked on, and the end is committed: a crash loses it."""
    source, in_flight = unique("source"), asyncio.Event()
    await cluster.create({source: 1})
    app = stock_app(unique("app"), tmp_path, cluster)
    finished: list[Any] = []

    async def agent(stream: Any) -> None:
        async for event in stream:
            if event == b"slow":
                await in_flight.wait()
            finished.append(event)

    app.agent(raw_topic(app, source), concurrency=2)(agent)
    await cluster.send(source, [(None, b"slow"), (None, b"2"), (None, b"3")], partitions=1, at=0)
    async with running(app):
        await all_committed(cluster, app, source)
        assert b"slow" not in finished
        in_flight.set()


async def test_the_lane_commits_nothing_past_what_is_in_flight(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """While one partition's first chunk is in the works the others end; of its own nothing is committed."""
    load = await Load.prepared(cluster, unique, seed=23)
    await load.send(1000)
    in_flight = asyncio.Event()

    async def prepare(chunk: Chunk) -> None:
        if chunk[0].partition == 1:
            await in_flight.wait()

    agent = replace(summing_agent(load), prepare=prepare)
    async with local_lane(load, agent):
        ends = await cluster.ends(load.source)

        async def others_ended() -> bool:
            return await cluster.committed(load.app_id, load.source) == {**ends, 1: 0}

        await until(others_ended, LIMIT_S, "the end of all partitions but one")
        in_flight.set()
        await load.consumed()
    await load.check()
