"""A whole lane worker's app in the test's own process: Faust, its consumer thread and web server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.lane_worker import new_app
from tests.support.stack import free_ports

if TYPE_CHECKING:
    from fleet.lane import LaneApp
    from fleet.settings import Settings
    from tests.support.lane_load import Load


@asynccontextmanager
async def running_app(load: Load, settings: Settings) -> AsyncIterator[LaneApp]:
    """Run the worker that sums the load's charges."""
    (port,) = free_ports(1)
    for agent in new_app(load.app_id, port, load.source, settings).lane.host.agents.values():
        host = new_app(load.app_id, port, load.source, settings).lane.host
        await host.prepare(agent)
        await host.topics.close()
    app = new_app(load.app_id, port, load.source, settings)
    app.finalize()
    app.in_worker = True
    try:
        await app.start()
        yield app
    finally:
        await app.stop()
