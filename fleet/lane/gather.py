"""Questions about all keys of a table: each worker answers for its partitions, one answer is made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from faust.web.exceptions import ParseError

from fleet.lane.errors import StoreError
from fleet.lane.routing import HOPS_HEADER, unavailable

if TYPE_CHECKING:
    from fleet.lane.app import LaneApp

PARTITIONS_HEADER = "X-Fleet-Partitions"

Local: TypeAlias = Callable[[set[int]], Awaitable[Any]]


async def gather(app: LaneApp, request: Any, table: str, local: Local) -> list[Any]:
    """Return `local`'s answer for every partition of `table`, in one part per worker.

    A worker that is asked by another one answers for the partitions that it is asked for, all of
    them or none: its view's whole answer is then one part of the other's, so a view must be able to
    merge its own answers.

    Args:
        app: The app.
        request: The request; method, query and identity are passed on.
        table: The table.
        local: Gives this worker's part for some of its partitions, JSON-serialisable.

    Raises:
        ServiceUnavailable: Some partition has no worker that can answer now.
        ParseError: The request's own headers between workers make no sense.
    """
    if HOPS_HEADER in request.headers:
        asked = _asked(request)
        return [await _here(app, table, asked, local)]
    workers = app.lane_router.workers(table)
    partitions = app.lane.table_partitions(table)
    if not partitions or set().union(*workers.values()) != set(range(partitions)):
        raise unavailable("partitions are being assigned")
    parts = (_part(app, url, some, request, table, local) for url, some in workers.items())
    return list(await asyncio.gather(*parts))


async def _part(app: LaneApp, url: Any, partitions: set[int], request: Any, table: str, local: Local) -> Any:
    if app.lane_router.is_here(url):
        return await _here(app, table, partitions, local)
    listed = ",".join(map(str, sorted(partitions)))
    more = {HOPS_HEADER: "1", PARTITIONS_HEADER: listed}
    status, _, body = await app.lane_router.forward(url, request, more)
    if status != HTTPStatus.OK:
        raise unavailable(f"the worker at {url} cannot answer now")
    return orjson.loads(body)


async def _here(app: LaneApp, table: str, partitions: set[int], local: Local) -> Any:
    _require_loaded(app, table, partitions)
    try:
        part = await local(partitions)
    except StoreError as error:
        raise unavailable("state is being loaded") from error
    # A partition that was given up meanwhile may be missing in it.
    _require_loaded(app, table, partitions)
    return part


def _asked(request: Any) -> set[int]:
    listed = request.headers.get(PARTITIONS_HEADER, "").split(",")
    if not all(text.isdecimal() for text in listed):
        raise ParseError(f"header {PARTITIONS_HEADER} does not list partitions")
    return set(map(int, listed))


def _require_loaded(app: LaneApp, table: str, partitions: set[int]) -> None:
    if partitions - set(app.lane.host.owned(table)):
        raise unavailable("state is being loaded")
