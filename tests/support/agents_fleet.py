"""The three agents as worker processes on a real stack, and what goes in and comes out of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from fleet.cli.keys import opened
from fleet.cli.people import cli_actor
from fleet.cli.run import AGGREGATIONS, RULES
from fleet.cli.run.aggregates import BY_DAY, BY_PROVIDER
from fleet.lane.config import LaneConfig
from fleet.settings import Settings
from schemas.catalogue import load_catalogue
from schemas.cli import apply_catalogue
from schemas.codec import Codec
from schemas.registry import Registry
from tables.access import Role
from tables.routes.kind import TOPIC as RULES_TOPIC
from tests.support.agents_cli import eventfleet
from tests.support.agents_proxy import TcpProxy
from tests.support.agents_views import Answer, ask, running
from tests.support.lane_kafka import Cluster
from tests.support.lane_processes import Worker
from tests.support.polling import until
from tests.support.stack import ROOT, environment, free_ports

PARTITIONS = 6
AGENTS = ("normalizer", "router", "aggregator")
RAW = "raw.x12"
CANONICAL = "canonical.claim"
PARTIALS = "aggregator-partials"
"""The agent of the aggregator that reads events, and sets aside what it cannot take."""
BY_HOUR = "claims-by-provider-hour"
AGGREGATES = (BY_PROVIDER, BY_HOUR, BY_DAY)
SUBJECT = "canonical.claim-value"
LIMIT_S = 60.0
STOP_LIMIT_S = 30.0


@dataclass(frozen=True)
class Sent:
    """A record as it was written: where, and what."""

    place: tuple[str, int, int]
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass
class Fleet:
    """The workers of one stack.

    Attributes:
        settings: Settings of the workers; they reach the registry through `registry`.
        folder: Where their logs and data go.
        registry: The way to the registry, which a test may cut.
        token: An admin's key to the API.
        workers: The first worker of each agent.
        files: How many files have been made so far, so that no two are alike.
        published: Seeds of generated files that are published.
    """

    settings: Settings
    folder: Path
    registry: TcpProxy
    token: str = ""
    workers: dict[str, Worker] = field(default_factory=dict)
    files: int = 0
    published: set[int] = field(default_factory=set)
    _started: list[Worker] = field(default_factory=list)

    @property
    def lane(self) -> LaneConfig:
        """How to reach Kafka."""
        return LaneConfig.of(self.settings)

    @property
    def cluster(self) -> Cluster:
        """The broker."""
        return Cluster(self.settings.kafka)

    def start(self, agent: str) -> Worker:
        """Start one more worker of an agent."""
        (port,) = free_ports(1)
        own = self.settings.model_copy(update={f"{agent}_port": port})
        log = self.folder / f"{agent}-{len(self._started)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", f"agents.{agent}", "worker", "--loglevel", "info"],
                cwd=ROOT,
                env=environment(own) | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(port, log, process)
        self._started.append(worker)
        return worker

    async def start_all(self) -> None:
        """Start one worker of each agent and wait until all partitions run."""
        self.workers.update({agent: self.start(agent) for agent in AGENTS})
        await asyncio.gather(*(self.holds_all(worker) for worker in self.workers.values()))

    @contextmanager
    def another(self, agent: str) -> Iterator[Worker]:
        """Run a second worker of an agent; at the end the first one has all partitions again."""
        worker = self.start(agent)
        try:
            asyncio.run(self.shared(agent, worker))
            yield worker
        finally:
            worker.process.terminate()
            worker.process.wait(STOP_LIMIT_S)
            asyncio.run(self.holds_all(self.workers[agent]))

    async def shared(self, agent: str, other: Worker) -> None:
        """Wait until the agent's partitions run on both workers."""

        async def is_shared() -> bool:
            held = [await running(worker) for worker in (self.workers[agent], other)]
            return all(held) and sorted(held[0] + held[1]) == list(range(PARTITIONS))

        await until(is_shared, LIMIT_S, f"{agent}: partitions on both workers")

    async def holds_all(self, worker: Worker) -> None:
        """Wait until every partition runs on `worker`."""

        async def has_all() -> bool:
            return await running(worker) == list(range(PARTITIONS)) and await worker.is_ready()

        await until(has_all, LIMIT_S, f"all partitions on {worker.log.name}")

    def end(self) -> None:
        """End all workers, the hard way after a while."""
        for worker in self._started:
            if worker.process.poll() is None:
                worker.process.terminate()
        for worker in self._started:
            try:
                worker.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                worker.kill()

    def pids(self) -> dict[str, int]:
        """Return the process ids of the live workers."""
        return {
            name: worker.process.pid for name, worker in self.workers.items() if worker.process.poll() is None
        }

    @asynccontextmanager
    async def codec(self) -> AsyncIterator[Codec]:
        """Open a codec on the real registry, past the proxy, warmed for claims and results."""
        direct = self.settings.model_copy(update={"registry_url": None})
        async with Registry(direct.registry) as registry:
            codec = Codec(registry)
            await codec.warm(load_catalogue().subjects())
            yield codec

    async def send(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> Sent:
        """Write one record as any producer may."""
        listed = list(headers)
        async with self.cluster.producer() as producer:
            done = await producer.send_and_wait(topic, value, key=key, partition=partition, headers=listed)
        return Sent((done.topic, done.partition, done.offset), key, value, listed)

    @asynccontextmanager
    async def rule(self, name: str, *, condition: str, targets: list[str]) -> AsyncIterator[None]:
        """Have an active rule, version 1, for a while."""
        row = {"name": name, "version": 1, "owner": "team", "source": CANONICAL, "targets": targets}
        value = orjson.dumps({**row, "condition": condition, "state": "active"})
        await self.send(RULES_TOPIC, name.encode(), value)
        try:
            yield
        finally:
            await self.send(RULES_TOPIC, name.encode(), None)

    async def rule_is_active(self, name: str) -> None:
        """Wait until the first router has the rule `name`."""

        async def active() -> bool:
            rules = (await self.get("router", "/routes"))["rules"]
            return any(each["name"] == name for each in rules)

        await until(active, LIMIT_S, f"rule {name} on the router")

    async def counts(self) -> dict[str, int]:
        """Return what router and aggregator have counted so far."""
        routed = await self.get("router", "/routed")
        rows = await self.aggregates(f"{BY_PROVIDER}/windows/all/top?by=claims&n=1000")
        claims = [row["values"]["claims"] for row in rows.get("rows", ())]
        return {**routed, "(aggregated)": sum(claims)}

    async def aggregates(self, path: str, worker: Worker | None = None) -> Any:
        """Return what an aggregator answers to a query, also that there is nothing, once it answers."""

        async def answered() -> Answer | None:
            answer = await self.ask(worker or self.workers["aggregator"], f"/v1/aggregates/{path}")
            return answer if answer.status in (200, 404) else None

        found = await until(answered, LIMIT_S, f"an answer to {path}")
        assert found is not None
        return found.body

    async def ask(self, worker: Worker, path: str, content: Any = None, **headers: str) -> Answer:
        """Return a worker's answer to an admin; see `tests.support.agents_views.ask`."""
        return await ask(worker, path, content, Authorization=f"Bearer {self.token}", **headers)

    async def aggregates_live(self) -> None:
        """Wait until the demonstration's aggregations have heard of every partition of their source."""

        async def live() -> bool:
            found = [await self.aggregates(name) for name in AGGREGATES]
            return all(_is_live(each) for each in found)

        await until(live, LIMIT_S, "the aggregations are live")

    async def get(self, agent: str, path: str) -> Any:
        """Return the JSON of a view of an agent's first worker, once it answers."""

        async def answered() -> Answer | None:
            answer = await ask(self.workers[agent], path)
            return answer if answer.status == 200 else None

        found = await until(answered, LIMIT_S, f"an answer of {agent} to {path}")
        assert found is not None
        return found.body


@contextmanager
def running_fleet(stack: Settings, folder: Path) -> Iterator[Fleet]:
    """Run one worker of each agent on a stack, with topics, schemas and the demonstration's rules."""
    with TcpProxy(stack.registry_port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/apis/ccompat/v7"
        own = {"registry_url": url, "data_dir": folder / "data", "session_timeout_s": 6.0}
        fleet = Fleet(stack.model_copy(update=own), folder, proxy)
        try:
            asyncio.run(apply_topics(fleet.settings))
            for noun, path in (("routes", RULES), ("aggregations", AGGREGATIONS)):
                code, said = apply(fleet.settings, noun, path)
                assert code == 0, said
            fleet.token = asyncio.run(an_admin(fleet.settings))
            asyncio.run(fleet.start_all())
            asyncio.run(fleet.aggregates_live())
            yield fleet
        finally:
            fleet.end()


async def apply_topics(settings: Settings) -> None:
    """Create the topics and register the schemas of the catalogue."""
    found = await apply_catalogue(load_catalogue(), settings)
    assert not found.refusals


async def an_admin(settings: Settings) -> str:
    """Return a new key that may do everything."""
    async with opened(settings) as keys:
        return (await keys.issue("platform", [Role.ADMIN], cli_actor())).token


def apply(settings: Settings, noun: str, path: Path) -> tuple[int, str]:
    """Run ``eventfleet routes apply``, or of another noun; return its exit code and all it said."""
    process = eventfleet(settings, noun, "apply", str(path))
    out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out + err


def _is_live(status: dict[str, Any]) -> bool:
    builds = status.get("builds", ())
    return any(each["serving"] and not each["sources"]["never_heard_count"] for each in builds)
