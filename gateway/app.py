"""The gateway's wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from api import Services, mount
from api.problems import problems
from gateway.forwarding import AGGREGATOR_PATHS, ROUTER_PATHS, Forwarding
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
    urls = {worker.name: worker.url for worker in app[WORKERS]}
    forwarded = {"router": ROUTER_PATHS, "aggregator": AGGREGATOR_PATHS}
    more = (Forwarding(name, urls[name], paths).add_routes for name, paths in forwarded.items())
    mount(app, Services.of(settings), *more)
    return app
