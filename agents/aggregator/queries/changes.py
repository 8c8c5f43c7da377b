"""``/v1/aggregates/{name}/changes``: changes as server-sent events, or as the answer of a long poll."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web
from aiokafka.errors import KafkaError

from agents.aggregator.queries.answers import accepted
from agents.aggregator.queries.feed import Feed, Feeds, GoneError, parse_place
from agents.aggregator.queries.handlers import PREFIX
from api import ACTOR
from api.asking import answer, number_of, query_of
from fleet.errors import EventfleetError, TransientError
from tables.access import READERS
from tables.errors import ConflictError

if TYPE_CHECKING:
    from agents.aggregator.queries.targets import Target, Targets

EVENTS: Final = "text/event-stream"
MAX_STREAMS: Final = 100
"""Clients that a worker reads changes for at a time."""
MAX_WAIT_S: Final = 30
HEARTBEAT_S: Final = 10.0
SLOW_LIMIT_S: Final = 30.0
"""How long a client may take nothing before it is cut off."""
_LAST_WORD_S: Final = 0.1
_OPTIONS: Final = ("wait_s", "after", "build")


class ChangeHandlers:
    """The handler of ``/changes``.

    Args:
        targets: Finds builds.
        feeds: Opens feeds of change topics.
        slow_limit_s: How long a client may take nothing before it is cut off, seconds.
    """

    def __init__(self, targets: Targets, feeds: Feeds, *, slow_limit_s: float = SLOW_LIMIT_S) -> None:
        self._targets = targets
        self._feeds = feeds
        self._slow_limit_s = slow_limit_s
        self._open = 0
        self._stopping = False

    def add_routes(self, app: web.Application) -> None:
        """Add the path."""
        app.router.add_get(f"{PREFIX}/changes", self.changes)

    async def stop(self) -> None:
        """End all streams, soon."""
        self._stopping = True

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """Stream what is written to the change topic; with ``wait_s`` wait for the next of it and answer."""
        request[ACTOR].require(READERS, "query aggregates")
        target = await self._target(request)
        query = query_of(request, *sorted(target.parts.parameters() | set(_OPTIONS)))
        group = target.parts.of_query(query, _OPTIONS) if _names_a_part(target, query) else ""
        topic = target.compiled.definition.output.topic
        if not topic:
            raise ConflictError(
                f"aggregation {target.name!r} writes no changes",
                version=target.compiled.definition.version,
                hint="give it an output.topic, or query its rows",
            )
        waits = "wait_s" in query
        offered = "application/json" if waits else EVENTS
        if accepted(request.headers.getall("Accept", []), (offered,)) is None:
            raise web.HTTPNotAcceptable(text=f"Accept must allow {offered}")
        wait_s = number_of(query, "wait_s", default=MAX_WAIT_S, most=MAX_WAIT_S)
        wanted = target.id if "build" in query else "", group
        text = request.headers.get("Last-Event-ID") or query.get("after")
        place = None if text is None else parse_place(text)
        opened = self._feeds.open(topic, place, self._targets.parts_of, wanted)
        try:
            async with self._counted(), opened as feed:
                return await (self._polled(request, feed, wait_s) if waits else self._streamed(request, feed))
        except GoneError as error:
            raise web.HTTPGone(text=str(error)) from error

    async def _target(self, request: web.Request) -> Target:
        number = number_of(request.query, "build") if "build" in request.query else None
        return await self._targets.target(request.match_info["name"], number)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        if self._open >= MAX_STREAMS or self._stopping:
            raise TransientError(
                "this worker streams to as many clients as it can", hint="try again, or another"
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _polled(self, request: web.Request, feed: Feed, wait_s: int) -> web.Response:
        until = time.monotonic() + wait_s
        found: list[dict[str, Any]] = []
        while not found and self._is_wanted(request) and time.monotonic() < until:
            found = await feed.changes()
        return answer({"changes": found, "next": feed.place})

    async def _streamed(self, request: web.Request, feed: Feed) -> web.StreamResponse:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        response.content_type = EVENTS
        await response.prepare(request)
        try:
            await self._write(response, event("ready", {}, feed.place))
            await self._follow(request, response, feed)
        except TimeoutError:
            await self._cut_off(request, response)
        except ConnectionError:
            pass  # The client has gone.
        except (EventfleetError, KafkaError) as error:
            gone = "gone" if isinstance(error, GoneError) else "error"
            with suppress(TimeoutError, ConnectionError):
                await self._write(response, event(gone, {"detail": str(error)}))
        return response

    def _is_wanted(self, request: web.Request) -> bool:
        """Return whether the worker goes on, and the client is there."""
        return not self._stopping and request.transport is not None and not request.transport.is_closing()

    async def _follow(self, request: web.Request, response: web.StreamResponse, feed: Feed) -> None:
        written_at = time.monotonic()
        while self._is_wanted(request):
            found = await feed.changes()
            if found:
                await self._write(response, b"".join(event("change", each, each["id"]) for each in found))
            elif time.monotonic() - written_at > HEARTBEAT_S:
                # Its id too: a client that is rarely written to would else resume far back.
                await self._write(response, event("still", {}, feed.place))
            else:
                continue
            written_at = time.monotonic()

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        await asyncio.wait_for(response.write(data), self._slow_limit_s)

    async def _cut_off(self, request: web.Request, response: web.StreamResponse) -> None:
        detail = f"nothing was taken for {self._slow_limit_s:g} s: begin again at the last id"
        try:
            await asyncio.wait_for(response.write(event("slow", {"detail": detail})), _LAST_WORD_S)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            if request.transport is not None:
                # What it was sent it may still take, but not hold for ever.
                request.transport.close()
                asyncio.get_running_loop().call_later(self._slow_limit_s, request.transport.abort)


def event(name: str, data: Mapping[str, Any], place: str = "") -> bytes:
    """Return a server-sent event."""
    where = f"id: {place}\n" if place else ""
    return f"event: {name}\n{where}data: ".encode() + orjson.dumps(data) + b"\n\n"


def _names_a_part(target: Target, query: Mapping[str, str]) -> bool:
    return bool(query.keys() & (target.parts.parameters() - set(_OPTIONS)))
