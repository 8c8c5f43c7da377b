"""Paths of the API that only a worker can answer: sent on to one, with method, query, body and identity."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web
from yarl import URL

from fleet.errors import TransientError
from fleet.lane.routing import NOT_FORWARDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

ROUTER_PATHS: Final = ("/active-rules", "/dry-runs", "/dry-runs/{id}", "/explain", "/rule-counts")
AGGREGATOR_PATHS: Final = ("/aggregates/{name}", "/aggregates/{name}/{rest:.+}")
GATEWAY_HEADER: Final = "X-Fleet-Gateway"
"""Marks what a gateway sent on: workers count hops between themselves by a header of their own."""
FORWARD_LIMIT_S: Final = 60.0
CLIENT_CLOSED_REQUEST: Final = 499
"""Status, in the gateway's own metrics alone, where nobody waits for the answer any more."""
GONE_CHECK_S: Final = 1.0
"""How soon a worker is left once the client has gone: it may stream, or wait for changes."""
EVENTS: Final = "text/event-stream"
_KEPT: Final = frozenset(
    {"allow", "cache-control", "content-type", "link", "location", "retry-after", "www-authenticate"}
    | {"x-accel-buffering"}
)
_OURS: Final = "x-fleet-"


class Forwarding:
    """Sends requests on to a worker.

    Args:
        name: Name of its agent, for people.
        url: Base URL of its web server.
        paths: Paths within the API that it answers.
    """

    def __init__(self, name: str, url: str, paths: Sequence[str]) -> None:
        self._name = name
        self._url = URL(url)
        self._paths = paths
        self._session: aiohttp.ClientSession | None = None

    def add_routes(self, app: web.Application) -> None:
        """Add the paths, and close what they open with `app`."""
        for path in self._paths:
            app.router.add_route("*", path, self.forward)
        app.cleanup_ctx.append(self._opened)

    async def _opened(self, app: web.Application) -> AsyncIterator[None]:
        del app
        # Answers are bounded below, as a whole: streams are not, but may not fall silent either.
        timeout = aiohttp.ClientTimeout(total=None, sock_read=FORWARD_LIMIT_S)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            self._session = session
            yield

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Answer as the worker does; what it streams is streamed, no faster than the client takes it.

        Raises:
            TransientError: It does not answer.
            HTTPLoopDetected: The request has come over a gateway already.
        """
        forwarding = asyncio.ensure_future(self._forwarded(request))
        try:
            while not (await asyncio.wait({forwarding}, timeout=GONE_CHECK_S))[0]:
                if request.transport is None:
                    return web.Response(status=CLIENT_CLOSED_REQUEST)
            return await forwarding
        finally:
            forwarding.cancel()

    async def _forwarded(self, request: web.Request) -> web.StreamResponse:
        if GATEWAY_HEADER in request.headers:
            raise _LoopDetected(text=f"{request.path} was sent on already: its worker's URL is a gateway's")
        assert self._session is not None, "the application has not started"  # noqa: S101 - a bug of ours
        url = self._url.join(request.rel_url)
        dropped = NOT_FORWARDED | {GATEWAY_HEADER.lower()}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        try:
            async with (
                asyncio.timeout(FORWARD_LIMIT_S) as limit,
                self._session.request(
                    request.method, url, headers={**headers, GATEWAY_HEADER: "1"}, data=await request.read()
                ) as response,
            ):
                kept = {name: value for name, value in response.headers.items() if _is_kept(name)}
                if response.content_type == EVENTS:
                    limit.reschedule(None)
                    return await _streamed(request, response, kept)
                return web.Response(body=await response.read(), status=response.status, headers=kept)
        except (TimeoutError, aiohttp.ClientError) as error:
            hint = f"start one with `eventfleet worker {self._name}`, or try again"
            raise TransientError(f"no {self._name} answers at {self._url}", hint=hint) from error


async def _streamed(
    request: web.Request, response: aiohttp.ClientResponse, headers: Mapping[str, str]
) -> web.StreamResponse:
    passed = web.StreamResponse(status=response.status, headers=headers)
    await passed.prepare(request)
    # Once it has begun, a worker or a client that goes is its end.
    try:
        async for data in response.content.iter_any():
            await asyncio.wait_for(passed.write(data), FORWARD_LIMIT_S)
    except (TimeoutError, ConnectionError, aiohttp.ClientError):
        if request.transport is not None:
            request.transport.abort()
    return passed


def _is_kept(header: str) -> bool:
    name = header.lower()
    return name in _KEPT or name.startswith(_OURS)


class _LoopDetected(web.HTTPServerError):
    status_code = HTTPStatus.LOOP_DETECTED
