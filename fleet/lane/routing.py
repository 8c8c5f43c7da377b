"""Which worker holds a key, and how a query gets there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
from faust.app.router import Router
from faust.exceptions import SameNode
from faust.types.tuples import TP
from faust.web.exceptions import ServiceUnavailable
from yarl import URL

if TYPE_CHECKING:
    from fleet.lane.app import LaneApp

HOPS_HEADER = "X-Fleet-Hops"
MAX_HOPS = 2
FORWARD_TIMEOUT_S = 10.0
NOT_FORWARDED = {"host", "content-length", "transfer-encoding", "connection"}


class LaneRouter(Router):
    """Finds a row's worker by the raw bytes its source records are partitioned by.

    Faust hashes the JSON form of a text key, which is another partition for most keys
    (fs#514), and loses query, body and caller identity when it forwards.
    """

    app: LaneApp

    def key_store(self, table_name: str, key: Any) -> URL:
        """Return the base URL of the worker that holds `key`.

        Raises:
            KeyError: No worker is known to hold it (e.g. during a rebalance).
        """
        table: Any = self.app.tables[table_name]
        partitions = self.app.lane.table_partitions(table_name)
        if not partitions:
            raise KeyError(key)
        partition = table.partition_of(str(key), partitions)
        return URL(self._assignor._external_tps_url[TP(self.app.lane.source_of(table_name), partition)])  # type: ignore[attr-defined]  # noqa: SLF001

    def workers(self, table_name: str) -> dict[URL, set[int]]:
        """Return the partitions of `table_name` by the base URL of their worker."""
        source = self.app.lane.source_of(table_name)
        found: dict[URL, set[int]] = {}
        for tp, url in self._assignor._external_tps_url.items():  # type: ignore[attr-defined]  # noqa: SLF001
            if tp.topic == source:
                found.setdefault(URL(url), set()).add(tp.partition)
        return found

    def is_here(self, url: URL) -> bool:
        """Return whether `url` is this worker's own."""
        return self._urlident(url) == self._urlident(self.app.conf.canonical_url)

    async def _route_req(self, dest_url: URL, web: Any, request: Any) -> Any:
        if self.is_here(dest_url):
            raise SameNode
        hops = int(request.headers.get(HOPS_HEADER, "0"))
        if hops >= MAX_HOPS:
            raise ServiceUnavailable("workers disagree on who holds the key: try again")
        status, content_type, body = await self.forward(dest_url, request, hops + 1)
        return web.bytes(body, content_type=content_type, status=status)

    async def forward(self, dest_url: URL, request: Any, hops: int) -> tuple[int, str, bytes]:
        """Send `request` on to `dest_url`, with method, query, body and identity kept."""
        url = request.url.with_host(dest_url.host).with_port(dest_url.port)
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in NOT_FORWARDED
        }
        headers[HOPS_HEADER] = str(hops)
        try:
            async with self.app.http_client.request(
                request.method,
                url,
                headers=headers,
                data=await request.read(),
                timeout=aiohttp.ClientTimeout(total=FORWARD_TIMEOUT_S),
            ) as response:
                return response.status, response.content_type, await response.read()
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ServiceUnavailable(f"the worker at {dest_url} does not answer: try again") from error
