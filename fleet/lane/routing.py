"""Which worker holds a key, and how a query gets there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
from faust.app.router import Router
from faust.exceptions import SameNode
from faust.types.tuples import TP
from faust.web.exceptions import ParseError, ServiceUnavailable
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.lane.app import LaneApp

HOPS_HEADER = "X-Fleet-Hops"
MAX_HOPS = 2
FORWARD_TIMEOUT_S = 10.0
RETRY_AFTER_S = 1
NOT_FORWARDED = {"host", "content-length", "transfer-encoding", "connection"}


def unavailable(why: str) -> ServiceUnavailable:
    """Return the 503 of an answer that would not be complete now."""
    return ServiceUnavailable(f"{why}: try again", headers={"Retry-After": str(RETRY_AFTER_S)})


class LaneRouter(Router):
    """Finds a row's worker by the raw bytes its source records are partitioned by.

    Faust hashes the JSON form of a text key, which is another partition for most keys
    (fs#514), and loses query, body and caller identity when it forwards.
    """

    app: LaneApp

    def key_store(self, table_name: str, key: Any) -> URL:
        """Return the base URL of the worker that holds `key`.

        Raises:
            SameNode: No worker can hold it: there is no such table, or no partition for such a key.
            KeyError: No worker is known to hold it (e.g. during a rebalance).
        """
        if not self.app.lane.has_table(table_name):
            raise SameNode
        table: Any = self.app.tables[table_name]
        partitions = self.app.lane.table_partitions(table_name)
        if not partitions:
            raise KeyError(key)
        try:
            partition = table.partition_of(str(key), partitions)
        except KeyError:
            raise SameNode from None
        source = TP(self.app.lane.source_of(table_name), partition)
        url = URL(self._assignor._external_tps_url[source])  # type: ignore[attr-defined]  # noqa: SLF001
        if self.is_here(url) and self.app.lane.host.partition_state(table_name, partition) is None:
            # An owner that still loads must not say that the row does not exist.
            raise KeyError(key)
        return url

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

    async def route_req(self, table_name: str, key: Any, web: Any, request: Any) -> Any:
        """Answer `request` from the worker that holds `key`.

        Raises:
            SameNode: This worker is to answer: it holds the key, or nobody can.
            ServiceUnavailable: Nobody can answer now.
        """
        try:
            url = self.key_store(table_name, key)
        except KeyError:
            raise unavailable("the partition of the key is being assigned or loaded") from None
        return await self._route_req(url, web, request)

    async def _route_req(self, dest_url: URL, web: Any, request: Any) -> Any:
        if self.is_here(dest_url):
            raise SameNode
        hops = hops_of(request)
        if hops >= MAX_HOPS:
            raise unavailable("workers disagree on who holds the key")
        status, headers, body = await self.forward(dest_url, request, {HOPS_HEADER: str(hops + 1)})
        kept = {name: headers[name] for name in ("Content-Type", "Retry-After") if name in headers}
        return web.bytes(body, status=status, headers=kept)

    async def forward(
        self, dest_url: URL, request: Any, more: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send `request` on to `dest_url`, with method, query, body and identity kept.

        Args:
            dest_url: Base URL of the other worker.
            request: The request.
            more: Headers to add.

        Returns:
            Status, headers and body of the answer.

        Raises:
            ServiceUnavailable: There is no answer.
        """
        url = request.url.with_host(dest_url.host).with_port(dest_url.port)
        replaced = NOT_FORWARDED | {name.lower() for name in more}
        kept = {name: value for name, value in request.headers.items() if name.lower() not in replaced}
        try:
            async with self.app.http_client.request(
                request.method,
                url,
                headers={**kept, **more},
                data=await request.read(),
                timeout=aiohttp.ClientTimeout(total=FORWARD_TIMEOUT_S),
            ) as response:
                return response.status, response.headers, await response.read()
        except (TimeoutError, aiohttp.ClientError) as error:
            raise unavailable(f"the worker at {dest_url} does not answer") from error


def hops_of(request: Any) -> int:
    """Return over how many workers `request` came.

    Raises:
        ParseError: Its header is not a number.
    """
    text = request.headers.get(HOPS_HEADER, "0")
    if not text.isdecimal():
        raise ParseError(f"header {HOPS_HEADER} is not a number")
    return int(text)
