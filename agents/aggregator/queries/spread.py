"""A query spread over the workers that hold what it needs; where an owner is gone, over standbys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from faust.web.exceptions import WebError

from agents.aggregator.domain.rows import ROWS
from agents.aggregator.queries.holding import READ, Holding
from fleet.errors import TransientError
from fleet.lane.errors import StoreError
from fleet.lane.gather import PARTITIONS_HEADER
from fleet.lane.routing import HOPS_HEADER
from tables.errors import InvalidInputError

if TYPE_CHECKING:
    from aiohttp import web
    from yarl import URL

    from fleet.lane import LaneApp

BUILD_HEADER: Final = "X-Fleet-Build"
"""The build that a worker is asked about by another: both answer for the same one."""
STANDBY_HEADER: Final = "X-Fleet-Standby"
"""Set where a worker may answer from standbys."""
_OK: Final = 200

Part: TypeAlias = dict[str, Any]
Local: TypeAlias = Callable[[Holding], Awaitable[Part]]
"""Answers for one partition, in JSON values."""


class Spread:
    """Asks partitions of the aggregates, wherever they are.

    Args:
        app: The worker's app.
    """

    def __init__(self, app: LaneApp) -> None:
        self._app = app

    def partitions(self) -> int:
        """Return how many partitions there are.

        Raises:
            TransientError: That is not known yet.
        """
        found = self._app.lane.table_partitions(ROWS)
        if not found:
            raise TransientError("the worker has not joined its group yet", hint="try again")
        return found

    async def parts(self, request: web.Request, build: int, wanted: set[int], local: Local) -> list[Part]:
        """Return the part of each partition: of its owner or, where that does not answer, of a standby.

        Args:
            request: The request; method, path, query, body and identity are passed on.
            build: Number of the build that it is about.
            wanted: The partitions.
            local: Answers for one that is here.

        Raises:
            TransientError: Nobody can answer for one of them now.
        """
        if HOPS_HEADER in request.headers:
            raise InvalidInputError(f"{HOPS_HEADER} is for workers", field=HOPS_HEADER, hint="leave it out")
        owners = {url: some & wanted for url, some in self._app.lane_router.workers(ROWS).items()}
        asked = (
            self._ask(url, request, some, build, local, standby=False) for url, some in owners.items() if some
        )
        found = _joined(await asyncio.gather(*asked))
        if missing := wanted - found.keys():
            found |= await self._of_standbys(request, missing, build, local, owners)
        if missing := wanted - found.keys():
            listed = ", ".join(map(str, sorted(missing)))
            hint = "they are being assigned or loaded: try again"
            raise TransientError(f"nobody answers for partitions {listed} of the aggregates", hint=hint)
        return [found[partition] for partition in sorted(wanted)]

    async def _of_standbys(
        self,
        request: web.Request,
        missing: set[int],
        build: int,
        local: Local,
        workers: Mapping[URL, set[int]],
    ) -> dict[int, Part]:
        found = await self.here(missing, local, standby=True)
        if left := missing - found.keys():
            others = [url for url in workers if not self._app.lane_router.is_here(url)]
            asked = (self._ask(url, request, left, build, local, standby=True) for url in others)
            found = _joined(await asyncio.gather(*asked)) | found
        return found

    async def _ask(
        self, url: URL, request: web.Request, wanted: set[int], build: int, local: Local, *, standby: bool
    ) -> dict[int, Part]:
        if self._app.lane_router.is_here(url):
            return await self.here(wanted, local, standby=standby)
        more = {
            HOPS_HEADER: "1",
            PARTITIONS_HEADER: ",".join(map(str, sorted(wanted))),
            BUILD_HEADER: str(build),
            STANDBY_HEADER: str(standby).lower(),
        }
        try:
            status, _, body = await self._app.lane_router.forward(url, request, more)
            parts: Mapping[str, Part] = orjson.loads(body)["parts"] if status == _OK else {}
        except (WebError, ValueError, KeyError):
            return {}
        return {int(partition): part for partition, part in parts.items()}

    async def here(self, wanted: set[int], local: Local, *, standby: bool) -> dict[int, Part]:
        """Return the parts of those partitions that this worker can answer for."""
        found: dict[int, Part] = {}
        for partition in sorted(wanted):
            holding = self._holding(partition, standby=standby)
            if holding is None:
                continue
            try:
                part = await local(holding)
            except StoreError:
                continue
            # One that was given up, or taken over, meanwhile may have been read in part.
            if self._is_still(holding):
                found[partition] = {**holding.about(), **part}
        return found

    def _holding(self, partition: int, *, standby: bool) -> Holding | None:
        host = self._app.lane.host
        owned = {name: host.partition_state(name, partition) for name in READ}
        stores = {name: store for name, store in owned.items() if store is not None}
        if len(stores) == len(READ):
            as_of = [store.current_ms for store in stores.values() if store.current_ms is not None]
            return Holding(partition, stores, None, max(as_of, default=None))
        copies = [host.standbys.copy(name, partition) for name in READ] if standby else []
        kept = [copy for copy in copies if copy is not None]
        times = [copy.current_at_ms for copy in kept if copy.current_at_ms is not None]
        # A copy that never had all of its changelog lacks rows of any age.
        if len(times) < len(READ):
            return None
        return Holding(
            partition,
            {copy.table: copy.store for copy in kept},
            sum(copy.lag or 0 for copy in kept),
            min(times),
        )

    def _is_still(self, holding: Holding) -> bool:
        now = self._holding(holding.partition, standby=holding.lag is not None)
        return now is not None and all(now.tables[name] is store for name, store in holding.tables.items())


def asked_partitions(request: web.Request) -> set[int] | None:
    """Return the partitions that another worker asks for; None where it is not one that asks.

    Raises:
        InvalidInputError: Its headers make no sense.
    """
    if HOPS_HEADER not in request.headers:
        return None
    listed = request.headers.get(PARTITIONS_HEADER, "").split(",")
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in listed):  # noqa: PLR2004
        raise InvalidInputError(
            f"header {PARTITIONS_HEADER} does not list partitions",
            field=PARTITIONS_HEADER,
            hint="leave it out",
        )
    return set(map(int, listed))


def _joined(parts: list[dict[int, Part]]) -> dict[int, Part]:
    """Return all parts; of two of one partition that of the fresher copy."""
    found: dict[int, Part] = {}
    for each in parts:
        for partition, part in each.items():
            if partition not in found or (part["as_of_ms"] or 0) > (found[partition]["as_of_ms"] or 0):
                found[partition] = part
    return found
