"""How long a worker takes to answer while it aggregates: `query` of ``CASES.md``."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Final

import aiohttp
from aiokafka import AIOKafkaProducer

from benchmarks import verify
from benchmarks.aggregations import AGGREGATIONS
from benchmarks.answers import Account, Question
from benchmarks.engines import Engine, Part
from benchmarks.figures import Latency, LatencyRun
from benchmarks.inputs import PARTITIONS, SCHEMA_PATH
from benchmarks.latency import due_after_ns, settled
from benchmarks.measure import MeasureError, watch
from benchmarks.product import ACTOR, settings_of
from benchmarks.publish import publish
from benchmarks.rig import Rig
from benchmarks.timed_claims import BASE_MS, Timed, TimedClaim, timed_claims, timed_kinds
from benchmarks.trial import cleared, prepare, results_of, started
from benchmarks.workers.job import AGGREGATE, AGGREGATE_TUMBLING, QUERY, Job
from fleet.lane.config import LaneConfig
from schemas.registry import Registry
from tables.access import Role
from tables.keys import Keys

SOURCE: Final = "bench.queried-claims"
RATE_PER_S: Final = 2_000
"""Events a second meanwhile: what a worker carries easily."""
KEPT_UP: Final = 0.95
"""Share of that rate at which events must have been published."""
KEY, TOP = "key", "top"
N: Final = 10
READY_LIMIT_S: Final = 30.0
POLL_S: Final = 0.1

Ask = Callable[[], Question]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How much is asked.

    Attributes:
        before: Events that are aggregated before.
        seconds: How long each kind of question is asked.
        keys_per_s: Questions for a group's rows.
        tops_per_s: Questions for the groups of a window with the greatest sums.
    """

    before: int
    seconds: float
    keys_per_s: int
    tops_per_s: int


class Queries:
    """Latencies of questions to workers that aggregate.

    Args:
        rig: The broker and the core.
        engines: What to measure.
        asking: How much.
    """

    def __init__(self, rig: Rig, engines: Sequence[Engine], asking: Asking) -> None:
        self._rig = rig
        self._engines = [engine for engine in engines if QUERY in engine.cases]
        self._asking = asking
        self._timed = Timed(PARTITIONS, [])
        self._groups: list[str] = []
        self._events: Iterator[TimedClaim] = iter(())
        (self._aggregation,) = AGGREGATIONS[AGGREGATE_TUMBLING]

    async def measure(self) -> list[Latency]:
        """Publish what is aggregated before, measure one engine after the other, and return their rows."""
        schema = json.loads(SCHEMA_PATH.read_bytes())
        async with Registry(self._rig.registry_url) as registry:
            made = timed_kinds(schema, await registry.register(f"{SOURCE}-value", schema))
        self._timed = Timed(PARTITIONS, made)
        self._events = timed_claims(1 << 40, made, partitions=PARTITIONS)
        self._groups = [kind.fields["billing_provider"]["npi"] for kind in made]
        await self._rig.cluster.create([SOURCE], PARTITIONS)
        before = islice(self._events, self._asking.before)
        await publish(self._rig.cluster.bootstrap_servers, SOURCE, before, self._timed)
        return [row for engine in self._engines for row in await self._of(engine)]

    async def _of(self, engine: Engine) -> list[Latency]:
        name = f"bench-{QUERY}-{engine.name}"
        job = self._rig.job(engine, AGGREGATE, name, source=SOURCE, aggregations=(self._aggregation,))
        runs: dict[str, list[LatencyRun]] = {KEY: [], TOP: []}
        error = ""
        try:
            async with cleared(self._rig.cluster, name, Path(job.data_dir)):
                await self._measured(engine, job, runs)
        except MeasureError as failed:
            error = str(failed)
        rows = [
            Latency.of(engine.name, engine.guarantee, RATE_PER_S, found, error, what=what)
            for what, found in runs.items()
        ]
        for row in rows:
            figures = row.error or f"p50 {row.p50_ms} ms, p99 {row.p99_ms} ms, p99.9 {row.p999_ms} ms"
            self._rig.say(f"{QUERY} {row.what:<10} {engine.name:<20} {row.rate_per_s:>6,}/s  {figures}")
        return rows

    async def _measured(self, engine: Engine, job: Job, runs: dict[str, list[LatencyRun]]) -> None:
        cluster, starts = self._rig.cluster, dict.fromkeys(range(PARTITIONS), 0)
        part = Part(topic=SOURCE, starts=starts, events=self._published, warmup_events=0)
        await prepare(cluster, engine, job, part)
        async with results_of(cluster, engine, job, part) as progress:
            with started(engine, job, self._rig.core) as worker:
                await watch(worker.cpu_s, progress, self._published)
                await self._asked(job, runs)
                await watch(worker.cpu_s, progress, self._published)
        if engine.aggregates is not None:
            expected = {self._aggregation.name: self._timed.rows(starts, self._aggregation)}
            await verify.check_aggregates(engine.aggregates, job, expected)

    @property
    def _published(self) -> int:
        return sum(self._timed.sizes.values())

    async def _asked(self, job: Job, runs: dict[str, list[LatencyRun]]) -> None:
        """Ask all kinds of questions, one kind after the other, while events are published."""
        rows = self._timed.rows(dict.fromkeys(range(PARTITIONS), 0), self._aggregation)
        account = Account(rows, BASE_MS + self._published, random.Random(self._published))
        kinds: tuple[tuple[str, Ask, int], ...] = (
            (KEY, account.group, self._asking.keys_per_s),
            (TOP, lambda: account.top(N), self._asking.tops_per_s),
        )
        async with _session(job, self._aggregation.name) as session:
            done = asyncio.Event()
            publishing = asyncio.ensure_future(self._publish(job, account, done))
            try:
                for what, ask, per_s in kinds:
                    found = await _ask(session, self._aggregation.name, ask, per_s, self._asking.seconds)
                    runs[what].append(LatencyRun.of(settled(found, self._asking.seconds)))
            except aiohttp.ClientError as error:
                raise MeasureError(f"the worker does not answer ({error})") from None
            finally:
                done.set()
                rate = await publishing
        if rate < KEPT_UP * RATE_PER_S:
            raise MeasureError(f"{rate:,.0f} events a second were published, not {RATE_PER_S:,}")

    async def _publish(self, job: Job, account: Account, done: asyncio.Event) -> float:
        """Publish at a steady rate until that is done; return at which rate it was."""
        producer = AIOKafkaProducer(bootstrap_servers=job.bootstrap_servers)
        await producer.start()
        begun_ns, number = time.monotonic_ns(), 0
        try:
            for number, event in enumerate(self._events):
                await _due(begun_ns + due_after_ns(number, RATE_PER_S))
                self._timed.add(event)
                account.add(self._groups[event.kind], event.time_ms)
                headers = list(event.headers)
                await producer.send(
                    SOURCE, event.value, event.key, partition=event.partition, headers=headers
                )
                if done.is_set():
                    break
        finally:
            await producer.stop()
        return number * 1e9 / (time.monotonic_ns() - begun_ns)


async def _due(due_ns: int) -> None:
    early_ns = due_ns - time.monotonic_ns()
    if early_ns > 0:
        await asyncio.sleep(early_ns / 1e9)


@asynccontextmanager
async def _session(job: Job, aggregation: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client of the worker's API that it knows, for the questions about an aggregation."""
    keys = Keys(LaneConfig.of(settings_of(job)))
    try:
        token = (await keys.issue(ACTOR.team, [Role.VIEWER], ACTOR)).token
    finally:
        await keys.stop()
    base, headers = f"http://127.0.0.1:{job.web_port}", {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(base, headers=headers) as session:
        until = time.monotonic() + READY_LIMIT_S
        while (status := await _status(session, f"/v1/aggregates/{aggregation}")) != HTTPStatus.OK:
            if time.monotonic() > until:
                raise MeasureError(f"the worker answers {status} for {READY_LIMIT_S:g} s")
            await asyncio.sleep(POLL_S)
        yield session


async def _status(session: aiohttp.ClientSession, path: str) -> int:
    async with session.get(path) as answer:
        return answer.status


async def _ask(
    session: aiohttp.ClientSession, aggregation: str, ask: Ask, per_s: int, seconds: float
) -> list[tuple[int, float]]:
    """Ask at a steady rate; return when each question was due, and how many ms after it was answered.

    Raises:
        MeasureError: An answer was wrong.
    """
    begun_ns, asked = time.monotonic_ns(), []
    for number in range(int(per_s * seconds)):
        due_ns = begun_ns + due_after_ns(number, per_s)
        await _due(due_ns)
        asked.append(asyncio.ensure_future(_answered(session, aggregation, ask(), due_ns)))
    return list(await asyncio.gather(*asked))


async def _answered(
    session: aiohttp.ClientSession, aggregation: str, question: Question, due_ns: int
) -> tuple[int, float]:
    path = f"/v1/aggregates/{aggregation}{question.path}"
    async with session.get(path) as answer:
        body = await answer.read()
    after_ms = (time.monotonic_ns() - due_ns) / 1e6
    if answer.status != HTTPStatus.OK:
        raise MeasureError(f"{path} is answered {answer.status}: {body.decode(errors='replace')}")
    if wrong := question.wrong(json.loads(body)):
        raise MeasureError(wrong)
    return due_ns, after_ms
