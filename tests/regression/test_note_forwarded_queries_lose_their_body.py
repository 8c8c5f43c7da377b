"""Field note: a query that Faust forwards loses its body, has no limit of hops, and finds every key."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from faust.app.router import Router
from faust.web.apps.tables import TableView
from faust.web.exceptions import ServiceUnavailable
from multidict import CIMultiDictProxy
from yarl import URL

from fleet.lane.routing import HOPS_HEADER, MAX_HOPS
from tests.support.lane_worker import new_app
from tests.support.stock_faust import stock_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fleet.settings import Settings

BODY = b'{"keys": ["one", "two"]}'

BODY_LIMIT_S = 1.0

Got = list[tuple[bytes | None, CIMultiDictProxy[str]]]


@asynccontextmanager
async def forwarding(router: Any, faust_web: Any) -> AsyncIterator[tuple[URL, Got]]:
    """Give a URL at which `router` forwards whatever comes, and what then arrives at the other worker."""
    got: Got = []

    async def owner(request: web.Request) -> web.Response:
        got.append((await body_of(request), request.headers))
        return web.Response(text="{}")

    async def other(request: web.Request) -> web.Response:
        try:
            answer: web.Response = await router._route_req(there.make_url("/"), faust_web, request)
        except ServiceUnavailable as error:
            return web.Response(status=error.code, text=str(error))
        return answer

    owning, asked = web.Application(), web.Application()
    owning.router.add_post("/keys", owner)
    asked.router.add_post("/keys", other)
    async with TestServer(owning) as there, TestServer(asked) as here:
        try:
            yield here.make_url("/keys"), got
        finally:
            await router.app.http_client.close()


async def body_of(request: web.Request) -> bytes | None:
    """Return the body of a request; None where it does not come."""
    reading = asyncio.ensure_future(request.read())
    done, _ = await asyncio.wait({reading}, timeout=BODY_LIMIT_S)
    reading.cancel()
    return done.pop().result() if done else None


async def ask(url: URL, **headers: str) -> int:
    """Ask with a body; return the status."""
    async with ClientSession() as session, session.post(url, data=BODY, headers=headers) as answer:
        return answer.status


async def test_stock_faust_forwards_neither_body_nor_hops(tmp_path: Path) -> None:
    """The owner is told of a body that never comes, and of nothing that would stop two who disagree."""
    app = stock_app("forward", tmp_path)
    async with forwarding(Router(app), app.web) as (url, got):
        await ask(url, Cookie="one")
    ((body, headers),) = got
    assert body is None
    assert headers["Content-Length"] == str(len(BODY))
    asked_for = {"Host", "Content-Length", "Cookie", "Accept", "Accept-Encoding", "User-Agent"}
    assert set(headers) <= asked_for | {"Content-Type"}


async def test_the_lane_forwards_the_body_and_counts_hops(offline_settings: Settings) -> None:
    """Body and caller arrive; where workers disagree the last one says 503, not another round."""
    app = new_app("forward", 6066, "charges", offline_settings)
    async with forwarding(app.lane_router, app.web) as (url, got):
        assert await ask(url, Authorization="Bearer one") == 200
        assert await ask(url, **{HOPS_HEADER: str(MAX_HOPS)}) == 503
    ((body, headers),) = got
    assert body == BODY
    assert headers["Authorization"] == "Bearer one"
    assert headers[HOPS_HEADER] == "1"


def test_stock_faust_finds_a_key_that_is_in_no_row(tmp_path: Path) -> None:
    """Its view answers with the table's default, as of a row; the lane's half is `test_table_views`."""
    app = stock_app("missing", tmp_path)
    view: Any = TableView(app, app.web)
    assert view.get_table_value_or_404(app.Table("counts", default=int), "nobody") == 0


@pytest.mark.parametrize("first_start", [False, True], ids=["made", "started"])
async def test_the_lane_keeps_the_canonical_url_of_its_environment(
    offline_settings: Settings, monkeypatch: pytest.MonkeyPatch, *, first_start: bool
) -> None:
    """Other workers reach this one there, also where Faust's ``--web-port`` has overwritten it meanwhile."""
    monkeypatch.setenv("NODE_CANONICAL_URL", "http://pod-3.workers:6066")
    app = new_app("canonical", 6066, "charges", offline_settings)
    if first_start:
        app.conf.canonical_url = URL("http://0.0.0.0:7000")  # As faust/cli/worker.py does.
        await app.on_first_start()
    assert app.conf.canonical_url == URL("http://pod-3.workers:6066")
