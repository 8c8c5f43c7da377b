"""Aggregations over HTTP: as other definitions, and what is done about their builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.asking import number_of, query_of, reason_of, version_of
from api.auth import ACTOR
from api.definitions import DefinitionHandlers, one
from tables.aggregations.acting import discard, switch

if TYPE_CHECKING:
    from aiohttp import web


class AggregationHandlers(DefinitionHandlers):
    """The handlers of aggregations."""

    def add_routes(self, app: web.Application) -> None:
        """Add all paths; what they answer is told by each handler."""
        super().add_routes(app)
        app.router.add_post(f"{self.path}/{{name}}/switch", self.switch)
        app.router.add_post(f"{self.path}/{{name}}/discard", self.discard)

    async def switch(self, request: web.Request) -> web.Response:
        """Serve the build ``to``, which is queried and written from then on."""
        query, version = query_of(request, "to", "reason"), version_of(request)
        to, name, actor = number_of(query, "to"), request.match_info["name"], request[ACTOR]
        return one(await switch(self.definitions, name, to, version, actor, reason_of(query)))

    async def discard(self, request: web.Request) -> web.Response:
        """Drop the build ``build`` with its state: 409 where it is the one that is served."""
        query, version = query_of(request, "build", "reason"), version_of(request)
        build, name, actor = number_of(query, "build"), request.match_info["name"], request[ACTOR]
        return one(await discard(self.definitions, name, build, version, actor, reason_of(query)))
