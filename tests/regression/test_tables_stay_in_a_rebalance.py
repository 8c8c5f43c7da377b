"""Lane tables are there for queries while Faust sets up its own recovery."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fleet.lane import LaneApp
from fleet.lane.config import LaneConfig

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_a_table_is_never_gone_from_the_manager(unique: Callable[[str], str]) -> None:
    """At every step of the set-up the lane's table is found, and Faust opens no channel for it."""
    app = LaneApp(unique("app"), lane=LaneConfig(bootstrap_servers="127.0.0.1:1"))
    table = app.lane_table("windows")
    manager: Any = app.tables
    consumer: Any = SimpleNamespace(assignment=set, pause_partitions=lambda _partitions: None)
    app.consumer = consumer
    updating = asyncio.ensure_future(manager._update_channels())
    steps = 0
    while not updating.done():
        await asyncio.sleep(0)
        steps += 1
        assert app.tables["windows"] is table
    await updating
    assert steps > 1
    assert not manager._channels
