"""The router's part of the HTTP API: which rules are active here, and what became of events by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from faust.web.exceptions import WebError

from api import ACTOR
from api.asking import answer, query_of
from api.problems import problem
from tables.access import READERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ACTIVE: Final = "/active-rules"
COUNTS: Final = "/rule-counts"


class StandingHandlers:
    """The handlers of ``/active-rules`` and ``/rule-counts``.

    Args:
        active: Gives the rules as this worker has them.
        counted: Gives the counts by version of a rule, over all workers.
    """

    def __init__(
        self, active: Callable[[], dict[str, Any]], counted: Callable[[Any], Awaitable[dict[str, Any]]]
    ) -> None:
        self._active = active
        self._counted = counted

    def add_routes(self, app: web.Application) -> None:
        """Add both paths."""
        app.router.add_get(ACTIVE, self.active)
        app.router.add_get(COUNTS, self.counts)

    async def active(self, request: web.Request) -> web.Response:
        """Give the rules as this worker has them, since when, and rows that were refused."""
        query_of(request)
        request[ACTOR].require(READERS, "look at rules")
        return answer(self._active())

    async def counts(self, request: web.Request) -> web.Response:
        """Give matched, delivered, unmatched, failed, last match by rule; of ``rule`` alone where given."""
        query = query_of(request, "rule")
        request[ACTOR].require(READERS, "look at rules")
        try:
            found = await self._counted(request)
        except WebError as error:
            return problem(error.code or 503, str(error.detail))
        wanted = query.get("rule")
        return answer(
            {
                label: counts
                for label, counts in sorted(found.items())
                if wanted is None or label.rpartition("@")[0] == wanted
            }
        )
