"""Trap 18: one coroutine for all partitions: while one waits for its commit, all stand still."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.support.lane_host import LIMIT_S, local_lane
from tests.support.lane_load import Load
from tests.support.lane_worker import AGENT
from tests.support.polling import until
from tests.support.stock_faust import raw_topic, running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

commit_transaction = AIOKafkaProducer.commit_transaction

WAIT_S = 3.0


async def test_stock_faust_stands_still_for_one_slow_event(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """An agent has one stream of all its partitions: none of the others is read meanwhile."""
    source, slow_started, enough = unique("source"), asyncio.Event(), asyncio.Event()
    await cluster.create({source: 2})
    app = stock_app(unique("app"), tmp_path, cluster)
    finished: list[Any] = []

    async def agent(stream: Any) -> None:
        async for event in stream:
            if event == b"slow":
                slow_started.set()
                await enough.wait()
            finished.append(event)

    async def any_finished() -> bool:
        return bool(finished)

    app.agent(raw_topic(app, source))(agent)
    await cluster.send(source, [(None, b"slow")], partitions=2, at=0)
    async with running(app):
        await until(lambda: _is_set(slow_started), LIMIT_S, "the slow event")
        await cluster.send(source, [(None, b"other")] * 5, partitions=2, at=1)
        with pytest.raises(AssertionError, match="not within"):
            await until(any_finished, WAIT_S, "an event of the other partition")
        enough.set()
        await until(any_finished, LIMIT_S, "the events")


async def _is_set(event: asyncio.Event) -> bool:
    return event.is_set()


async def test_the_lane_goes_on_while_one_partition_waits_for_its_commit(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each partition has a task, a producer and a reader of its own: the other three end meanwhile."""
    load, enough = await Load.prepared(cluster, unique, seed=19), asyncio.Event()

    async def commit(producer: Any) -> None:
        if producer._txn_manager.transactional_id == f"{load.app_id}-{AGENT}-1":
            await enough.wait()
        await commit_transaction(producer)

    monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", commit)
    await load.send(4000)
    async with local_lane(load, transaction_timeout_s=60.0):
        ends = await cluster.ends(load.source)

        async def others_ended() -> bool:
            return await cluster.committed(load.app_id, load.source) == {**ends, 1: 0}

        await until(others_ended, LIMIT_S, "the end of all partitions but one")
        enough.set()
        await load.consumed()
    await load.check()
