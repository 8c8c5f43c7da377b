"""A whole lane worker's app in the test's own process: Faust, its consumer thread and web server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.lane_worker import new_app
from tests.support.stack import free_ports

if TYPE_CHECKING:
    from fleet.lane import LaneApp
    from fleet.settings import Settings
    from tests.support.lane_load import Load


@asynccontextmanager
async def running_app(
    load: Load, settings: Settings, new: Callable[[str, int, str, Settings], LaneApp] = new_app
) -> AsyncIterator[LaneApp]:
    """Run a worker on the load's source; by default the one that sums its charges."""
    (port,) = free_ports(1)
    await new(load.app_id, port, load.source, settings).lane.preflight()
    app = new(load.app_id, port, load.source, settings)
    app.finalize()
    app.in_worker = True
    try:
        await app.start()
        yield app
    finally:
        await app.stop()
