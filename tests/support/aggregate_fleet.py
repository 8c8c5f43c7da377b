"""Aggregators as worker processes on a real stack: orders go in, results of definitions come out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from agents.aggregator.app import NAME
from agents.aggregator.domain.plan import Planner, build_id
from agents.aggregator.domain.progress import source_key
from agents.aggregator.domain.rows import ROWS, parse_row_key
from agents.aggregator.domain.rows import Row as Kept
from agents.aggregator.partials import SOURCES
from agents.aggregator.results import Results, schema_of
from api.services import Services
from fleet.settings import Settings
from schemas.codec import Codec, schema_ids
from tables.access import Role
from tables.aggregations.calculation import DAY_MS
from tables.aggregations.definition import parse_definition
from tests.support.agents_fleet import apply_topics
from tests.support.agents_views import ask
from tests.support.aggregate_batch import Missed, Question, Row
from tests.support.aggregate_events import SCHEMA, Logged
from tests.support.aggregate_results import missed
from tests.support.api import ADMIN
from tests.support.lane_kafka import Cluster
from tests.support.lane_processes import Worker
from tests.support.polling import until
from tests.support.stack import ROOT, environment, free_ports

LIMIT_S: Final = 90.0
LATE: Final = "fleet.aggregator.late"
SLOTS: Final = 6

Place = tuple[str, int]


@dataclass
class Aggregators:
    """The workers, and what a test does with them.

    Attributes:
        settings: Settings of the workers.
        folder: Where their logs and data go.
        services: The config API's services.
        codec: Encodes orders, decodes results.
        workers: Those that were started.
    """

    settings: Settings
    folder: Path
    services: Services
    codec: Codec
    workers: list[Worker] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        """The broker."""
        return Cluster(self.settings.kafka)

    def start(self) -> Worker:
        """Start one more worker."""
        (port,) = free_ports(1)
        own = self.settings.model_copy(update={"aggregator_port": port})
        log = self.folder / f"aggregator-{len(self.workers)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "agents.aggregator", "worker", "--loglevel", "info"],
                cwd=ROOT,
                env=environment(own) | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(port, log, process)
        self.workers.append(worker)
        return worker

    @property
    def alive(self) -> list[Worker]:
        """Workers whose process is there."""
        return [worker for worker in self.workers if worker.process.poll() is None]

    async def settled(self, count: int) -> None:
        """Wait until so many workers run all tasks between them."""

        async def all_run() -> bool:
            held = [await worker.tasks() for worker in self.alive]
            running = [
                (task["agent"], task["partition"])
                for tasks in held
                for task in tasks
                if task["status"] == "running"
            ]
            shared = len(held) == count and all(held)
            return shared and len(running) == len(set(running)) == 3 * SLOTS

        await until(all_run, LIMIT_S, f"all tasks on {count} workers")

    async def new_topic(self, topic: str, partitions: int) -> None:
        """Make an event type of orders."""
        await self.cluster.create({topic: partitions})
        await self.services.registry.register(f"{topic}-value", SCHEMA)
        await self.codec.warm([f"{topic}-value"])

    async def send(self, events: Iterable[Logged]) -> None:
        """Write events where their place says, in their order."""
        async with self.cluster.producer(linger_ms=5) as producer:
            sent = []
            for each in events:
                value = self.codec.encode(f"{each.topic}-value", each.order)
                key = each.order["customer"].encode()
                sent.append(await producer.send(each.topic, value, key=key, partition=each.partition))
            await asyncio.gather(*sent)

    async def define(self, name: str, question: Question, **fields: Any) -> dict[str, Any]:
        """Make an active aggregation."""
        return await self.services.aggregations.create(document(name, question, **fields), ADMIN)

    async def change(self, name: str, question: Question, version: int, **fields: Any) -> dict[str, Any]:
        """Change an aggregation."""
        return await self.services.aggregations.update(
            name, document(name, question, **fields), version, ADMIN
        )

    async def serves(self, name: str, number: int) -> None:
        """Wait until every worker serves a build of an aggregation."""
        token = (await self.services.keys.issue("platform", [Role.ADMIN], ADMIN)).token

        async def all_serve() -> bool:
            answers = [
                await ask(worker, f"/v1/aggregates/{name}", Authorization=f"Bearer {token}")
                for worker in self.alive
            ]
            return all(each.status == 200 and each.body["serving"] == number for each in answers)

        await until(all_serve, LIMIT_S, f"{name}: build {number} served by all workers", every_s=0.2)

    async def begun(self, name: str, number: int, partitions: Mapping[str, int]) -> dict[Place, int]:
        """Return where a build has begun in each partition of these topics, once it has in all."""
        wanted = {
            source_key(topic, number): (topic, number)
            for topic, count in partitions.items()
            for number in range(count)
        }

        async def in_all() -> dict[Place, int]:
            rows = await self.rows(SOURCES)
            builds = {wanted[key]: rows[key]["builds"] for key in wanted.keys() & rows.keys()}
            found = {place: each.get(build_id(name, number)) for place, each in builds.items()}
            if len(found) < len(wanted) or None in found.values():
                return {}
            return {place: each["begun"] for place, each in found.items() if each is not None}

        return await until(in_all, LIMIT_S, f"{name}: build {number} has begun", every_s=0.2)

    async def rows(self, table: str) -> dict[str, Any]:
        """Return the rows of a table, as its changelog has them."""
        rows: dict[str, Any] = {}
        for record in await self.cluster.read(f"{NAME}-{table}-changelog"):
            key = record.key.decode(errors="replace")
            if record.value is None:
                rows.pop(key, None)
            else:
                rows[key] = orjson.loads(record.value)
        return rows

    async def results(self, topic: str) -> list[tuple[str, Row]]:
        """Return the build and the values of each result, partition by partition in order."""
        records = await self.cluster.read(topic)
        await self.codec.ensure(schema_ids(record.value for record in records))
        return [
            (dict(record.headers)["fleet_aggregation"].decode(), self.codec.decode(record.value))
            for record in records
        ]

    async def finals(self, topic: str, count: int, build: str = "") -> list[Row]:
        """Return the finals that were written to a topic, once there are so many.

        What is too much is seen too: it is told by who compares them, and comes before the last of them.
        """

        async def enough() -> list[Row] | None:
            found = [row for each, row in await self.results(topic) if row["final"] and build in ("", each)]
            return found if len(found) >= count else None

        found = await until(enough, LIMIT_S, f"{count} finals in {topic}", every_s=0.5)
        assert found is not None
        return found

    async def table(self, name: str, number: int, count: int) -> list[Row]:
        """Return what the table has of a build, as results, once there are so many rows."""
        definition = parse_definition(await self.services.aggregations.get(name))
        build = Planner().plan({name: definition}, 0).builds[build_id(name, number)]
        results = Results(self.codec)
        await self.codec.ensure([schema_of(build)])

        async def enough() -> list[Row] | None:
            rows = {
                parse_row_key(key): Kept.of(row)
                for key, row in (await self.rows(ROWS)).items()
                if key.startswith(f"{build.id}|")
            }
            written = (results.encoded(build, key, row, None, final=True) for key, row in rows.items())
            return [*map(self.codec.decode, written)] if len(rows) >= count else None

        found = await until(enough, LIMIT_S, f"{count} rows of {build.id}", every_s=0.5)
        assert found is not None
        return found

    async def missed(self, build: str, events: Iterable[Logged]) -> list[Missed]:
        """Return the windows that events came too late for, by the late topic; sorted."""
        places = {each.order["order_id"]: each for each in events}
        found: list[Missed] = []
        for record in await self.cluster.read(LATE):
            headers = dict(record.headers)
            if headers["fleet_aggregation"] == build.encode():
                event = places[self.codec.decode(record.value)["order_id"]]
                found += missed((event.topic, event.partition), event.offset, headers)
        return sorted(found)

    def end(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.kill()


def document(name: str, question: Question, **fields: Any) -> dict[str, Any]:
    """Return an active aggregation that writes finals to its own topic, or updates where none are final."""
    windowed = question.windows["kind"] != "none"
    output = {"topic": f"{name}.results", "mode": "finals" if windowed else "updates", "every_ms": 0}
    about: dict[str, Any] = {"name": name, "owner": "shop", "state": "active", "output": output}
    about["retention_ms"] = 10 * 365 * DAY_MS
    return {**about, **question.document, **fields}


@asynccontextmanager
async def aggregators(stack: Settings, folder: Path, count: int) -> AsyncIterator[Aggregators]:
    """Run so many aggregators on a stack; no source is ever idle."""
    own = {"data_dir": folder / "data", "session_timeout_s": 6.0, "idle_after_s": 3_600.0}
    settings = stack.model_copy(update=own)
    await apply_topics(settings)
    services = Services.of(settings)
    fleet = Aggregators(settings, folder, services, Codec(services.registry))
    try:
        for _ in range(count):
            fleet.start()
        await fleet.settled(count)
        yield fleet
    finally:
        fleet.end()
        await services.close()
