"""Changes of aggregates on a real broker: written as the second stage writes them, read over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer
from aiokafka import AIOKafkaConsumer

from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.plan import Plan, Planner
from agents.aggregator.queries.changes import ChangeHandlers
from agents.aggregator.queries.feed import BUILD_HEADER, Feeds
from agents.aggregator.queries.targets import Targets
from api import Services, mount
from fleet.lane.partitioner import partition_of
from fleet.lane.reading import open_reader
from fleet.lane.topics import Topics
from fleet.settings import Settings
from schemas.codec import Codec
from tables.aggregations.kind import AUDIT, TOPIC
from tables.config import ConfigTable
from tests.support.api import Answer, Api, Server, an_aggregation, open_api
from tests.support.lane_kafka import Cluster
from tests.support.polling import until

LIMIT_S: Final = 30.0
GONE_LIMIT_S: Final = 20.0
"""Sooner than a poll ends by itself."""
PARTITIONS: Final = 6
HOUR_MS: Final = 3_600_000
SOCKET_BYTES: Final = 64 * 1024
"""What the worker's sockets hold: little, so that a client that takes nothing is soon noticed."""


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    name: str
    id: str
    data: Any


@dataclass
class Stream:
    """A stream of changes that is open.

    Attributes:
        response: The answer.
        last: Id of the last event that came.
    """

    response: aiohttp.ClientResponse
    last: str = ""

    async def next(self) -> Event | None:
        """Return the next event but a ``still``; None at the end of the stream."""
        async with asyncio.timeout(LIMIT_S):
            while (found := await self._event()) is not None and found.name == "still":
                pass
        return found

    async def keys(self, count: int) -> list[str]:
        """Return the groups of the next `count` changes."""
        found = []
        for _ in range(count):
            event = await self.next()
            assert event is not None
            assert event.name == "change", event
            found.append(event.data["key"]["payer"])
        return found

    async def _event(self) -> Event | None:
        fields: dict[str, str] = {}
        while (line := (await self.response.content.readline()).decode()) not in ("\n", ""):
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        if not fields:
            return None
        self.last = fields.get("id", self.last)
        return Event(fields["event"], fields.get("id", ""), orjson.loads(fields["data"]))


@dataclass
class Aggregation:
    """An active aggregation, whose results a test writes.

    Attributes:
        name: Its name.
        schema_id: Schema of its results.
    """

    name: str
    schema_id: int

    @property
    def topic(self) -> str:
        """Its change topic."""
        return f"finance.{self.name}"

    @property
    def path(self) -> str:
        """Path of its changes."""
        return f"/aggregates/{self.name}/changes"

    def start(self) -> str:
        """Return the place before all changes."""
        return ",".join(f"{partition}:0" for partition in range(PARTITIONS))


@dataclass
class Watched:
    """A worker that answers changes alone, behind a gateway, both in this process.

    Attributes:
        api: The gateway.
        worker: The worker.
        cluster: The broker.
        codec: Encodes results.
        stop: Ends all streams of the worker, as when it stops.
        readers: Every reader of a feed that the worker has opened.
    """

    api: Api
    worker: BaseTestServer
    cluster: Cluster
    codec: Codec
    stop: Callable[[], Awaitable[None]]
    readers: list[AIOKafkaConsumer] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """What a client sends to be let in."""
        return {"Authorization": f"Bearer {self.api.token}"}

    @property
    def open_readers(self) -> int:
        """How many readers of feeds are open."""
        return sum(not reader._closed for reader in self.readers)

    async def aggregation(self, name: str, **fields: Any) -> Aggregation:
        """Make an aggregation, and wait until the worker knows it."""
        made = await self.api.ask("POST", "/aggregations", an_aggregation(name, **fields))
        assert made.status == 201, made.body
        schema_id = made.body["builds"][0]["output_schema"]
        await self.codec.ensure([schema_id])
        found = Aggregation(name, schema_id)

        # No such wait is allowed, which is a 400 once the aggregation itself is known.
        async def known() -> bool:
            return (await self.api.ask("GET", f"{found.path}?wait_s=0")).status != 404

        await until(known, LIMIT_S, f"{name} known to the worker")
        return found

    @asynccontextmanager
    async def transaction(self, of: Aggregation, unique: Callable[[str], str]) -> AsyncIterator[Any]:
        """Open a transaction to write changes in, by `write`; the test ends it."""
        async with self.cluster.producer(transactional_id=unique("changes")) as producer:
            await producer.begin_transaction()

            async def write(payers: Iterable[str], total: str = "1.00") -> None:
                for payer in payers:
                    await producer.send(of.topic, **self.record(of, payer, total))
                await producer.flush()

            producer.write = write
            yield producer

    async def write(self, of: Aggregation, payers: Iterable[str], total: str = "1.00") -> None:
        """Write a change of each group, in order."""
        async with self.cluster.producer() as producer:
            for payer in payers:
                await producer.send(of.topic, **self.record(of, payer, total))
            await producer.flush()

    def record(self, of: Aggregation, payer: str, total: str) -> dict[str, Any]:
        """Return a change as the second stage writes it."""
        group = group_key([payer])
        value = {
            "payer": payer,
            "window_start": 0,
            "window_end": HOUR_MS,
            "total": Decimal(total),
            "final": False,
            "watermark": None,
            "build": 1,
        }
        return {
            "key": group.encode(),
            "value": self.codec.encode_as(of.schema_id, value),
            "headers": [(BUILD_HEADER, f"{of.name}~1".encode())],
            "partition": partition_of(group.encode(), PARTITIONS),
        }

    @asynccontextmanager
    async def stream(
        self, of: Aggregation, query: str = "", *, last: str = "", through_gateway: bool = False
    ) -> AsyncIterator[Stream]:
        """Open a stream, at its place `ready`."""
        base = self.api.client.make_url("/") if through_gateway else self.worker.make_url("/")
        headers = self.headers | ({"Last-Event-ID": last} if last else {})
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{base}v1{of.path}{query}") as response,
        ):
            assert response.status == 200, await response.text()
            stream = Stream(response)
            ready = await stream.next()
            assert ready is not None
            assert (ready.name, response.content_type) == ("ready", "text/event-stream")
            yield stream

    async def poll(self, of: Aggregation, query: str) -> Answer:
        """Ask the worker by way of the gateway, which answers when there is something."""
        return await self.api.ask("GET", f"{of.path}?{query}")

    async def nobody_reads(self) -> None:
        """Wait until there were readers, and none is left behind."""

        async def ended() -> bool:
            return bool(self.readers) and self.open_readers == 0

        await until(ended, GONE_LIMIT_S, "the end of every reader")


@asynccontextmanager
async def watched(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, slow_limit_s: float = 30.0
) -> AsyncIterator[Watched]:
    """Run such a worker and a gateway."""
    readers: list[AIOKafkaConsumer] = []
    _note_readers(monkeypatch, readers)
    services = Services.of(settings)
    planner, topics = Planner(), Topics(services.lane)
    definitions: ConfigTable[Plan] = ConfigTable(
        services.lane, TOPIC, planner.parse, planner.plan, audit=AUDIT
    )
    targets = Targets(definitions.ready, definitions.snapshot, services.registry)
    feeds = Feeds(services.lane, topics, Codec(services.registry))
    handlers = ChangeHandlers(targets, feeds, slow_limit_s=slow_limit_s)
    app = web.Application()
    mount(app, services, handlers.add_routes)
    try:
        async with Server(app, socket_factory=_small) as worker:
            behind = settings.model_copy(update={"aggregator_port": worker.port})
            async with open_api(behind) as api, api.registry() as registry:
                codec = Codec(registry)
                yield Watched(api, worker, Cluster(settings.kafka), codec, handlers.stop, readers)
            await handlers.stop()
    finally:
        await definitions.stop()
        await topics.close()


def _note_readers(monkeypatch: pytest.MonkeyPatch, readers: list[AIOKafkaConsumer]) -> None:
    @asynccontextmanager
    async def noted(*args: Any) -> AsyncIterator[AIOKafkaConsumer]:
        async with open_reader(*args) as reader:
            readers.append(reader)
            yield reader

    monkeypatch.setattr("agents.aggregator.queries.feed.open_reader", noted)


def _small(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
    listener.bind((host, port))
    return listener
