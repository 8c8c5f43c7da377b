"""Questions about all keys of a table: each worker answers for its partitions, one answer is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson
from faust.web.exceptions import ServiceUnavailable

from fleet.lane.routing import HOPS_HEADER

if TYPE_CHECKING:
    from fleet.lane.app import LaneApp


async def gather(app: LaneApp, request: Any, table: str, local: Callable[[], Any]) -> list[Any]:
    """Return `local`'s answer of every worker that owns partitions of `table`.

    A worker that is asked by another one answers for itself alone: its view's whole answer is
    then one part of the other's, so a view must be able to merge its own answers.

    Args:
        app: The app.
        request: The request; method, query and identity are passed on.
        table: The table.
        local: Gives this worker's part, JSON-serialisable.

    Raises:
        ServiceUnavailable: Some partition has no worker that can answer now.
    """
    if request.headers.get(HOPS_HEADER):
        _require_loaded(app, table, set(app.lane.host.owned(table)))
        return [local()]
    workers = app.lane_router.workers(table)
    covered = set().union(*workers.values()) if workers else set()
    if len(covered) < (app.lane.table_partitions(table) or 1):
        raise ServiceUnavailable("partitions are being assigned: try again")
    return list(
        await asyncio.gather(
            *(_part(app, url, parts, request, table, local) for url, parts in workers.items())
        )
    )


async def _part(
    app: LaneApp, url: Any, partitions: set[int], request: Any, table: str, local: Callable[[], Any]
) -> Any:
    if app.lane_router.is_here(url):
        _require_loaded(app, table, partitions)
        return local()
    status, _, body = await app.lane_router.forward(url, request, 1)
    if status != 200:  # noqa: PLR2004
        raise ServiceUnavailable(f"the worker at {url} cannot answer now: try again")
    return orjson.loads(body)


def _require_loaded(app: LaneApp, table: str, partitions: set[int]) -> None:
    if partitions - set(app.lane.host.owned(table)):
        raise ServiceUnavailable("state is being loaded: try again")
