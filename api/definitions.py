"""Definitions over HTTP: list, read, change, and what they were."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from api.asking import (
    YAML,
    answer,
    body_of,
    flag_of,
    number_of,
    object_of,
    query_of,
    reason_of,
    version_of,
)
from api.auth import ACTOR
from tables.access import READERS
from tables.documents import load_list
from tables.errors import InvalidInputError
from tables.history import diff, history, rollback
from tables.importing import export, import_all
from tables.kinds import MAX_PAGE, PAGE, Filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tables.definitions import Definitions
    from tables.documents import Document

_FILTERS: Final = ("owner", "source", "state", "text")


class DefinitionHandlers:
    """The handlers of one kind of definition, under a path such as ``/routes``.

    Args:
        definitions: The definitions.
        path: Where they are, within the API.
    """

    def __init__(self, definitions: Definitions, path: str) -> None:
        self.definitions = definitions
        self.path = path

    def add_routes(self, app: web.Application) -> None:
        """Add all paths; what they answer is told by each handler."""
        one, router = f"{self.path}/{{name}}", app.router
        router.add_get(self.path, self.list)
        router.add_post(self.path, self.create)
        router.add_get(f"{self.path}/export", self.export)
        router.add_post(f"{self.path}/import", self.import_all)
        router.add_get(one, self.get)
        router.add_put(one, self.update)
        router.add_delete(one, self.delete)
        router.add_post(f"{one}/pause", self.pause)
        router.add_post(f"{one}/resume", self.resume)
        router.add_post(f"{one}/rollback", self.rollback)
        router.add_get(f"{one}/history", self.history)
        router.add_get(f"{one}/diff", self.diff)

    async def list(self, request: web.Request) -> web.Response:
        """Give one page: ``owner``, ``source``, ``state``, ``text`` filter, ``after`` and ``limit`` page."""
        query = query_of(request, *_FILTERS, "after", "limit")
        self._require_reader(request)
        limit = number_of(query, "limit", default=PAGE, most=MAX_PAGE)
        page = await self.definitions.page(_filter(query), after=query.get("after", ""), limit=limit)
        return answer(asdict(page))

    async def get(self, request: web.Request) -> web.Response:
        """Give one definition; its ETag is its version."""
        query_of(request)
        self._require_reader(request)
        return one(await self.definitions.get(request.match_info["name"]))

    async def create(self, request: web.Request) -> web.Response:
        """Create a definition: 201, or 409 where there is one of that name."""
        reason = reason_of(query_of(request, "reason"))
        made = await self.definitions.create(await object_of(request), request[ACTOR], reason)
        location = f"{request.path.rstrip('/')}/{made['name']}"
        return one(made, status=HTTPStatus.CREATED, Location=location)

    async def update(self, request: web.Request) -> web.Response:
        """Replace the version that ``If-Match`` or the body names: 409 where another is current."""
        reason = reason_of(query_of(request, "reason"))
        document = await object_of(request)
        version = _version_to_replace(request, document)
        name = request.match_info["name"]
        return one(await self.definitions.update(name, document, version, request[ACTOR], reason))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a definition; its history stays, and a rollback brings it back."""
        reason, version = reason_of(query_of(request, "reason")), version_of(request)
        name = request.match_info["name"]
        return one(await self.definitions.delete(name, version, request[ACTOR], reason))

    async def pause(self, request: web.Request) -> web.Response:
        """Let a definition do nothing until it is resumed."""
        reason, version = reason_of(query_of(request, "reason")), version_of(request)
        name = request.match_info["name"]
        return one(await self.definitions.pause(name, version, request[ACTOR], reason))

    async def resume(self, request: web.Request) -> web.Response:
        """Make a draft or paused definition active."""
        reason, version = reason_of(query_of(request, "reason")), version_of(request)
        name = request.match_info["name"]
        return one(await self.definitions.resume(name, version, request[ACTOR], reason))

    async def rollback(self, request: web.Request) -> web.Response:
        """Write what the version ``to`` held as the next version."""
        query, version = query_of(request, "to", "reason"), version_of(request)
        to, name, actor = number_of(query, "to"), request.match_info["name"], request[ACTOR]
        return one(await rollback(self.definitions, name, to, version, actor, reason_of(query)))

    async def history(self, request: web.Request) -> web.Response:
        """Give all versions, the newest first, with who wrote each and why."""
        query_of(request)
        self._require_reader(request)
        versions = await history(self.definitions, request.match_info["name"])
        return answer({"versions": [asdict(each) for each in versions]})

    async def diff(self, request: web.Request) -> web.Response:
        """Give what differs between the versions ``from`` and ``to``."""
        query = query_of(request, "from", "to")
        self._require_reader(request)
        old, new = number_of(query, "from"), number_of(query, "to")
        return answer(asdict(await diff(self.definitions, request.match_info["name"], old, new)))

    async def export(self, request: web.Request) -> web.Response:
        """Give definitions as YAML, in the order of their names."""
        query = query_of(request, *_FILTERS)
        self._require_reader(request)
        text = await export(self.definitions, _filter(query))
        return web.Response(text=text, content_type="application/yaml", headers={"Cache-Control": "no-store"})

    async def import_all(self, request: web.Request) -> web.Response:
        """Make the table hold a list, all of it or nothing; ``dry_run`` only says what would be done."""
        query = query_of(request, "dry_run", "prune", "reason")
        dry_run, prune = flag_of(query, "dry_run"), flag_of(query, "prune")
        noun = f"{self.definitions.kind.noun}s"
        body = await body_of(request, YAML)
        # A large file takes a while, in which others are answered.
        documents = await asyncio.to_thread(load_list, body, source="the body", of=noun)
        steps = await import_all(
            self.definitions,
            documents,
            request[ACTOR],
            dry_run=dry_run,
            prune=prune,
            reason=reason_of(query),
        )
        return answer({"dry_run": dry_run, "steps": [asdict(step) for step in steps]})

    def _require_reader(self, request: web.Request) -> None:
        request[ACTOR].require(READERS, f"read {self.definitions.kind.noun}s")


def _filter(query: Mapping[str, str]) -> Filter:
    return Filter(**{name: query[name] for name in _FILTERS if name in query})


def one(document: Document, *, status: int = HTTPStatus.OK, **headers: str) -> web.Response:
    """Return a definition; its ETag is its version."""
    return answer(document, status=status, ETag=f'"{document["version"]}"', **headers)


def _version_to_replace(request: web.Request, document: dict[str, Any]) -> int | None:
    """Return the version that an update replaces, which must be named."""
    named = version_of(request)
    within = document.get("version")
    if "If-Match" not in request.headers:
        if within is None:
            raise web.HTTPPreconditionRequired(text="send the version to replace: If-Match, or version")
        if not isinstance(within, int) or isinstance(within, bool):
            raise InvalidInputError("version must be a whole number", field="version", hint="e.g. 3")
        return within
    if named is not None and within not in (None, named):
        raise InvalidInputError(
            f"version {within} is not the {named} of If-Match", field="version", hint="send one of them"
        )
    return named
