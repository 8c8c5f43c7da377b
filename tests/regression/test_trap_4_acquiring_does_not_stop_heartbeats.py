"""Trap 4: fencing and loading inside the assignment callback, where no heartbeats run.

A load longer than the session got the worker evicted and assigned again, for ever.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

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

SESSION_TIMEOUT_S = 2.0


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

        await until(is_assigned, 30, "a first assignment")
        asyncio.get_running_loop().call_later(2 * SESSION_TIMEOUT_S, long_enough.set)
        await load.consumed()
        assert app.lane.host.generation == 1
        assert await app.lane.host.membership().confirm()
    await load.check()
