"""The API on an aiohttp application: the gateway's, and the web server of a Faust worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web

from api import audit
from api.aggregations import AggregationHandlers
from api.asking import MAX_BODY_BYTES
from api.auth import authenticated
from api.dead_letters import DeadLetterHandlers
from api.definitions import DefinitionHandlers
from api.problems import problems
from api.services import SERVICES, Services

PREFIX: Final = "/v1"

AddRoutes = Callable[[web.Application], None]


def mount(app: web.Application, services: Services, *more: AddRoutes) -> web.Application:
    """Add the API under ``/v1`` to `app`, before it starts; the services are closed with it.

    Args:
        app: The application.
        services: What the handlers stand on; a handler finds them in ``request.config_dict[SERVICES]``,
            and who asks in ``request[ACTOR]``.
        more: Each adds further paths to the API.

    Returns:
        The application of the API, a sub-application of `app`.
    """
    api = web.Application(middlewares=[problems, authenticated], client_max_size=MAX_BODY_BYTES)
    api[SERVICES] = services
    DefinitionHandlers(services.routes, "/routes").add_routes(api)
    AggregationHandlers(services.aggregations, "/aggregations").add_routes(api)
    DeadLetterHandlers(services.dead_letters, services.redrives).add_routes(api)
    audit.add_routes(api)
    for add_routes in more:
        add_routes(api)

    async def open_services(api: web.Application) -> AsyncIterator[None]:
        del api
        yield
        await services.close()

    api.cleanup_ctx.append(open_services)
    app.add_subapp(PREFIX, api)
    return api
