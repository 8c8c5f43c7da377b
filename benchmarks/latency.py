"""From the moment an event is due until a reader has its committed output: `latency` of ``CASES.md``."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from benchmarks import verify
from benchmarks.claims import Claim, Claimed, Kind, claims, kinds, reading
from benchmarks.engines import LATENCY, Engine
from benchmarks.figures import Latency, LatencyRun
from benchmarks.inputs import PARTITIONS, SCHEMA_PATH, SUBJECT, end_of
from benchmarks.measure import MeasureError, watch
from benchmarks.publish import publish
from benchmarks.rig import Rig
from benchmarks.rules import NEVER, outputs_by, rules_of
from benchmarks.trial import cleared, on_core, prepare, progress_of, started
from benchmarks.workers.job import ROUTE_ATTRIBUTES, Job
from schemas.registry import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOURCE = "bench.latency"
SENT_HEADER = "bench_sent_ns"
RATES_PER_S = (100, 1_000, 10_000)
FETCH_TIMEOUT_MS = 20
DRAIN_LIMIT_S = 60.0
SETTLING = 0.2
"""Share of each stretch, at its beginning, that does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """How long events are published at one rate, and how often in turns.

    Attributes:
        seconds: Length of one stretch.
        turns: Times that each rate is tried, in one life of a worker.
        warmup_events: Events in the topic before any that are measured.
        warmup_s: How long events are published, at 1,000 a second, before any count.
    """

    seconds: float
    warmup_s: float
    turns: int
    warmup_events: int


class Latencies:
    """Latencies of engines at several rates.

    Args:
        rig: The broker and the core.
        engines: What to measure.
        stretch: For how long.
    """

    def __init__(self, rig: Rig, engines: Sequence[Engine], stretch: Stretch) -> None:
        self._rig = rig
        self._engines = [engine for engine in engines if LATENCY in engine.cases]
        self._stretch = stretch
        self._claimed = Claimed(PARTITIONS, [])
        self._events: Iterator[Claim] = iter(())

    async def measure(self) -> list[Latency]:
        """Publish what engines warm up with, measure one after the other, and return their rows."""
        schema = json.loads(SCHEMA_PATH.read_bytes())
        async with Registry(self._rig.registry_url) as registry:
            made = with_one_output(kinds(schema, await registry.register(SUBJECT, schema)))
        self._claimed = Claimed(PARTITIONS, made)
        self._events = claims(1 << 40, made, partitions=PARTITIONS)
        await self._rig.cluster.create([SOURCE], PARTITIONS)
        warmup = islice(self._events, self._stretch.warmup_events)
        await publish(self._rig.cluster.bootstrap_servers, SOURCE, warmup, self._claimed)
        rows: list[Latency] = []
        for engine in self._engines:
            rows += await self._of(engine)
        return rows

    async def _of(self, engine: Engine) -> list[Latency]:
        name = f"bench-{LATENCY}-{engine.name}"
        # One target: the broker and the reader share a core, and each marker of a commit takes some of it.
        rules = rules_of(ROUTE_ATTRIBUTES, lambda suffix: f"{name}-{NEVER if suffix == NEVER else 'out'}")
        job = self._rig.job(engine, ROUTE_ATTRIBUTES, name, source=SOURCE, rules=rules)
        part = end_of(SOURCE, self._claimed.sizes, 0, min(engine.warmup_events, self._stretch.warmup_events))
        runs: dict[int, list[LatencyRun]] = {rate: [] for rate in RATES_PER_S}
        errors: dict[int, str] = {}
        try:
            async with cleared(self._rig.cluster, name, Path(job.data_dir)):
                await prepare(self._rig.cluster, engine, job, part)
                with started(engine, job, self._rig.core) as worker:
                    await watch(worker.cpu_s, progress_of(self._rig.cluster, job, part), part.events)
                    # At these rates the broker is what a core is too small for: none of it for the reader.
                    with on_core(self._rig.core):
                        errors = await self._in_turns(job, runs)
                if not errors:
                    await verify.check_routed(job, self._claimed.routed(part.starts, rules, job.case))
        except MeasureError as error:
            errors = dict.fromkeys(RATES_PER_S, str(error))
        rows = [
            Latency.of(engine.name, engine.guarantee, rate, runs[rate], errors.get(rate, ""))
            for rate in RATES_PER_S
        ]
        for row in rows:
            figures = row.error or f"p50 {row.p50_ms} ms, p99 {row.p99_ms} ms, p99.9 {row.p999_ms} ms"
            self._rig.say(f"{LATENCY:<16} {engine.name:<20} {row.rate_per_s:>6,}/s  {figures}")
        return rows

    async def _in_turns(self, job: Job, runs: dict[int, list[LatencyRun]]) -> dict[int, str]:
        """Measure each rate in turns; returns what went wrong, which ends it, by rate."""
        async with _clients(job) as (producer, reader):
            # Small transactions are other code of the broker than what the worker caught up with: warm, too.
            stretches = [(1_000, self._stretch.warmup_s, False)]
            stretches += [(rate, self._stretch.seconds, True) for rate in RATES_PER_S * self._stretch.turns]
            for rate, seconds, counts in stretches:
                count = int(rate * seconds)
                reading_them = asyncio.ensure_future(_read(reader, count, seconds + DRAIN_LIMIT_S))
                await self._send(producer, rate, count)
                found = await reading_them
                if len(found) < count:
                    # What is still to come would be in the way of the next rate.
                    return {rate: f"{count - len(found):,} of {count:,} outputs were not there in time"}
                if not counts:
                    continue
                runs[rate].append(LatencyRun.of(settled(found, self._stretch.seconds)))
        return {}

    async def _send(self, producer: AIOKafkaProducer, rate: int, count: int) -> None:
        """Publish at a steady rate; an event is stamped with when it was due, not with when it was sent."""
        begun_ns = time.monotonic_ns()
        for number, event in enumerate(islice(self._events, count)):
            due_ns = begun_ns + due_after_ns(number, rate)
            early_ns = due_ns - time.monotonic_ns()
            if early_ns > 0:
                await asyncio.sleep(early_ns / 1e9)
            self._claimed.add(event)
            headers = [*event.headers, (SENT_HEADER, b"%d" % due_ns)]
            await producer.send(SOURCE, event.value, event.key, partition=event.partition, headers=headers)
        await producer.flush()


def due_after_ns(number: int, rate: int) -> int:
    """Return how long after the first of a stretch its event `number`, from 0, is due."""
    return number * 1_000_000_000 // rate


def settled(found: Sequence[tuple[int, float]], seconds: float) -> list[float]:
    """Return the latencies that count: of outputs due after the first part of a stretch.

    Args:
        found: When each was due, in ns, and how many ms after that it was read.
        seconds: Length of the stretch.
    """
    first_ns = min(due_ns for due_ns, _ in found) + int(seconds * SETTLING * 1e9)
    return [after_ms for due_ns, after_ms in found if due_ns >= first_ns]


def with_one_output(made: Sequence[Kind]) -> list[Kind]:
    """Return those claims that go to one topic."""
    decide = outputs_by(rules_of(ROUTE_ATTRIBUTES, str))
    return [kind for kind in made if len(decide(reading(kind, ROUTE_ATTRIBUTES))) == 1]


@asynccontextmanager
async def _clients(job: Job) -> AsyncIterator[tuple[AIOKafkaProducer, AIOKafkaConsumer]]:
    """Give a producer, and a reader that stands at the end of all target topics."""
    producer = AIOKafkaProducer(bootstrap_servers=job.bootstrap_servers)
    reader = AIOKafkaConsumer(
        bootstrap_servers=job.bootstrap_servers, isolation_level="read_committed", enable_auto_commit=False
    )
    await producer.start()
    await reader.start()
    try:
        topics = sorted({rule.topic for rule in job.rules})
        tps = [TopicPartition(topic, partition) for topic in topics for partition in range(job.partitions)]
        reader.assign(tps)
        await reader.seek_to_end(*tps)
        yield producer, reader
    finally:
        await producer.stop()
        await reader.stop()


async def _read(reader: AIOKafkaConsumer, count: int, limit_s: float) -> list[tuple[int, float]]:
    """Return when each of `count` outputs was due, and how many ms after it was read."""
    found: list[tuple[int, float]] = []
    until = time.monotonic() + limit_s
    while len(found) < count and time.monotonic() < until:
        fetched = await reader.getmany(timeout_ms=FETCH_TIMEOUT_MS)
        now_ns = time.monotonic_ns()
        for records in fetched.values():
            for record in records:
                sent_ns = _sent_ns(record.headers)
                if sent_ns is not None:
                    found.append((sent_ns, (now_ns - sent_ns) / 1e6))
    return found


def _sent_ns(headers: Any) -> int | None:
    return next((int(value) for name, value in headers if name == SENT_HEADER), None)
