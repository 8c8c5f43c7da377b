"""The gateway's wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from api import Services, mount
from api.problems import problems
from gateway.forwarding import ROUTER_PATHS, Forwarding
from gateway.handlers import READINESS, WORKERS, add_routes
from gateway.middlewares import measured
from gateway.parts import workers
from gateway.readiness import LIMIT_S, Readiness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleet.settings import Settings


def new_app(settings: Settings) -> web.Application:
    """Return the gateway as an aiohttp application, to be run by `gateway.__main__` or a test."""
    app = web.Application(middlewares=[measured, problems])
    app[WORKERS] = workers(settings)

    async def readiness(app: web.Application) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=LIMIT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            app[READINESS] = Readiness(settings, app[WORKERS], session)
            yield

    app.cleanup_ctx.append(readiness)
    add_routes(app)
    router = next(worker for worker in app[WORKERS] if worker.name == "router")
    mount(app, Services.of(settings), Forwarding(router.name, router.url, ROUTER_PATHS).add_routes)
    return app
