"""The queries of a worker, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from agents.aggregator.queries.changes import ChangeHandlers
from agents.aggregator.queries.feed import Feeds
from agents.aggregator.queries.handlers import AggregateHandlers
from agents.aggregator.queries.spread import Spread
from agents.aggregator.queries.targets import Targets

if TYPE_CHECKING:
    from aiohttp import web

    from agents.aggregator.domain.plan import Plan
    from api import Services
    from api.mounting import AddRoutes
    from fleet.lane import LaneApp
    from schemas.codec import Codec


def queries(
    app: LaneApp,
    services: Services,
    codec: Codec,
    *,
    ready: Callable[[], Awaitable[None]],
    plan: Callable[[], Plan],
) -> AddRoutes:
    """Return what adds the queries of aggregates to the API of a worker.

    Args:
        app: The worker's app, whose agents own the tables.
        services: What the API stands on.
        codec: Decodes changes.
        ready: Returns once the definitions have been read, e.g. `ConfigTable.ready`.
        plan: Gives all builds as they are now, e.g. `ConfigTable.snapshot`.
    """
    targets = Targets(ready, plan, services.registry)
    rows = AggregateHandlers(targets, Spread(app))
    changes = ChangeHandlers(targets, Feeds(services.lane, app.lane.host.topics, codec))
    app.lane.closing.append(changes.stop)

    def add_routes(api: web.Application) -> None:
        rows.add_routes(api)
        changes.add_routes(api)

    return add_routes
