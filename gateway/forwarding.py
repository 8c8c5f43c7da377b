"""Paths of the API that only a worker can answer: sent on to one, with method, query, body and identity."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web
from yarl import URL

from fleet.errors import TransientError
from fleet.lane.routing import NOT_FORWARDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

ROUTER_PATHS: Final = ("/active-rules", "/dry-runs", "/dry-runs/{id}", "/explain", "/rule-counts")
GATEWAY_HEADER: Final = "X-Fleet-Gateway"
"""Marks what a gateway sent on: workers count hops between themselves by a header of their own."""
FORWARD_LIMIT_S: Final = 60.0
_KEPT: Final = ("Content-Type", "Retry-After", "Location", "Cache-Control", "WWW-Authenticate")


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
        timeout = aiohttp.ClientTimeout(total=FORWARD_LIMIT_S)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            self._session = session
            yield

    async def forward(self, request: web.Request) -> web.Response:
        """Answer as the worker does.

        Raises:
            TransientError: It does not answer.
            HTTPLoopDetected: The request has come over a gateway already.
        """
        if GATEWAY_HEADER in request.headers:
            raise _LoopDetected(text=f"{request.path} was sent on already: its worker's URL is a gateway's")
        assert self._session is not None, "the application has not started"  # noqa: S101 - a bug of ours
        url = self._url.join(request.rel_url)
        dropped = NOT_FORWARDED | {GATEWAY_HEADER.lower()}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        try:
            async with self._session.request(
                request.method, url, headers={**headers, GATEWAY_HEADER: "1"}, data=await request.read()
            ) as response:
                kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
                return web.Response(body=await response.read(), status=response.status, headers=kept)
        except (TimeoutError, aiohttp.ClientError) as error:
            hint = f"start one with `eventfleet worker {self._name}`, or try again"
            raise TransientError(f"no {self._name} answers at {self._url}", hint=hint) from error


class _LoopDetected(web.HTTPServerError):
    status_code = HTTPStatus.LOOP_DETECTED
