"""What holds for every request of the gateway: counted and timed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.metrics import REQUEST_SECONDS, REQUESTS

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count and time each request by its route; what no route takes is ``(none)``."""
    resource = request.match_info.route.resource
    route = "(none)" if resource is None else resource.canonical
    started = time.perf_counter()
    response = await handler(request)
    REQUEST_SECONDS.labels(route).observe(time.perf_counter() - started)
    REQUESTS.labels(route, str(response.status)).inc()
    return response
