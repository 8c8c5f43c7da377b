"""The router's part of the HTTP API: dry-runs of rules, and why an event went where it did."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

from agents.router.dry_run.asking import job_of
from agents.router.dry_run.plan import parse_request
from agents.router.dry_run.runs import RUNNING
from api import ACTOR, SERVICES
from api.asking import answer, object_of, query_of
from tables.access import EDITORS, KEEPERS, READERS
from tables.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agents.router.dry_run.service import DryRuns
    from agents.router.explaining.service import Explainer

DRY_RUNS: Final = "/dry-runs"
EXPLAIN: Final = "/explain"
MAX_OFFSET: Final = 2**63 - 1


class DryRunHandlers:
    """The handlers of ``/dry-runs``.

    Args:
        runs: The dry-runs.
        sources: Topics that the router reads.
    """

    def __init__(self, runs: DryRuns, sources: Collection[str]) -> None:
        self._runs = runs
        self._sources = sources

    def add_routes(self, app: web.Application) -> None:
        """Add all paths; what they answer is told by each handler."""
        app.router.add_post(DRY_RUNS, self.start)
        app.router.add_get(DRY_RUNS, self.list)
        app.router.add_get(f"{DRY_RUNS}/{{id}}", self.get)
        app.router.add_delete(f"{DRY_RUNS}/{{id}}", self.cancel)

    async def start(self, request: web.Request) -> web.Response:
        """Begin a dry-run of the rules in the body: 202, and where to look for its report."""
        query_of(request)
        actor = request[ACTOR]
        actor.require(EDITORS, "try rules out")
        content = await object_of(request)
        services = request.config_dict[SERVICES]
        job = await job_of(parse_request(content), services.routes, services.registry, self._sources)
        run = await self._runs.start(job, content, actor.id)
        location = f"{request.path.rstrip('/')}/{run.id}"
        return answer(run.summary(), status=HTTPStatus.ACCEPTED, Location=location)

    async def list(self, request: web.Request) -> web.Response:
        """Give all dry-runs without their reports, the newest first."""
        query_of(request)
        request[ACTOR].require(READERS, "look at dry-runs")
        return answer({"items": [run.summary() for run in await self._runs.all()]})

    async def get(self, request: web.Request) -> web.Response:
        """Give one dry-run with its progress, and its report once it is done."""
        query_of(request)
        request[ACTOR].require(READERS, "look at dry-runs")
        return answer(msgspec.to_builtins(await self._runs.get(request.match_info["id"])))

    async def cancel(self, request: web.Request) -> web.Response:
        """End a dry-run: 200 once it has ended, 202 where its worker is yet to hear of it."""
        query_of(request)
        actor = request[ACTOR]
        actor.require(EDITORS, "cancel dry-runs")
        run = await self._runs.cancel(request.match_info["id"], actor.id)
        status = HTTPStatus.ACCEPTED if run.status == RUNNING else HTTPStatus.OK
        return answer(run.summary(), status=status)


class ExplainHandlers:
    """The handler of ``/explain``.

    Args:
        explainer: Explains.
    """

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer

    def add_routes(self, app: web.Application) -> None:
        """Add the path."""
        app.router.add_get(EXPLAIN, self.explain)

    async def explain(self, request: web.Request) -> web.Response:
        """Say why an event went where it did.

        The event is named by ``topic``, ``partition`` and ``offset``; or by ``id``, with ``source``,
        ``since`` and ``until`` where they are known.
        """
        query = query_of(request, "topic", "partition", "offset", "id", "source", "since", "until")
        request[ACTOR].require(EDITORS | KEEPERS, "see what an event holds")
        if ("id" in query) == ("topic" in query):
            hint = "give topic, partition and offset, or an id"
            raise InvalidInputError("which event is not clear", field="id", hint=hint)
        if "topic" in query:
            place = _natural(query, "partition"), _natural(query, "offset")
            return answer(await self._explainer.at(query["topic"], *place))
        since, until = _instant(query, "since"), _instant(query, "until")
        return answer(await self._explainer.by_id(query["id"], query.get("source", ""), since, until))


def _natural(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not text.isascii() or not text.isdigit() or int(text[:20]) > MAX_OFFSET:
        raise InvalidInputError(f"{name} must be a whole number", field=name, hint=f"e.g. {name}=0")
    return int(text)


def _instant(query: Mapping[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    try:
        found = datetime.fromisoformat(query[name])
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        hint = "write a time with its zone, e.g. 2026-01-31T00:00:00Z"
        raise InvalidInputError(f"{name} is not such a time", field=name, hint=hint)
    return found
