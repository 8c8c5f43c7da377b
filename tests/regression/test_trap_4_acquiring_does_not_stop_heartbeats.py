"""Trap 4: fencing and loading inside the assignment callback, where no heartbeats run.

A load longer than the session got the worker evicted and assigned again, for ever.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener

from fleet.lane import task
from fleet.lane.acquire import Hold, acquire
from tests.support.lane_app import running_app
from tests.support.lane_load import Load
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.settings import Settings
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SESSION_TIMEOUT_S = 4.0


class _LoadsInTheCallback(ConsumerRebalanceListener):  # type: ignore[misc]
    """Does what takes one and a half sessions inside the callback."""

    def __init__(self) -> None:
        self.assigned = 0

    async def on_partitions_revoked(self, revoked: object) -> None:
        """Let go of nothing: there is nothing yet."""

    async def on_partitions_assigned(self, assigned: object) -> None:
        """Load for longer than the session."""
        del assigned
        self.assigned += 1
        await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=1.5)


async def test_the_client_alone_is_evicted_while_its_callback_loads(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """The only member of its group, and the group assigns its partition again and again."""
    source, listener = unique("source"), _LoadsInTheCallback()
    await cluster.create({source: 1})
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.servers,
        group_id=unique("group"),
        session_timeout_ms=1000,
        heartbeat_interval_ms=200,
    )
    await consumer.start()
    try:
        consumer.subscribe([source], listener=listener)

        async def again() -> bool:
            return listener.assigned >= 3

        await until(again, 60, "a third assignment to one member")
    finally:
        await consumer.stop()


async def test_a_load_longer_than_the_session_costs_no_membership(
    cluster: Cluster,
    lane_settings: Settings,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The member stays in its first generation though each task takes two sessions to get going."""
    long_enough = asyncio.Event()

    async def slow_acquire(hold: Hold) -> None:
        await long_enough.wait()
        await acquire(hold)

    monkeypatch.setattr(task, "acquire", slow_acquire)
    load = await Load.prepared(cluster, unique, seed=4)
    await load.send(500)
    settings = lane_settings.model_copy(update={"session_timeout_s": SESSION_TIMEOUT_S})
    async with running_app(load, settings) as app:

        async def is_assigned() -> bool:
            return app.lane.host.generation > 0

        await until(is_assigned, 60, "a first assignment")
        asyncio.get_running_loop().call_later(2 * SESSION_TIMEOUT_S, long_enough.set)
        await load.consumed()
        assert app.lane.host.generation == 1
        assert await app.lane.host.membership().confirm()
    await load.check()
