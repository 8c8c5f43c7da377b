"""Eventfleet in the aggregation cases: its definitions, where it begins, how far it is, and its rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from agents.aggregator.app import PARTIALS, PARTITIONS
from agents.aggregator.domain.rows import ROWS, parse_row_key
from agents.aggregator.partials import SOURCES
from api.services import Services
from benchmarks.cluster import Cluster
from benchmarks.engines import Aggregate, Aggregates, Part
from benchmarks.rules import condition
from benchmarks.workers.aggregation import CHARGE, EVENT_TIME, Aggregation
from benchmarks.workers.job import Job
from fleet.lane.following import position_key, slot_of
from fleet.lane.store import OFFSETS_KEY
from fleet.settings import Settings, settings
from schemas.catalogue import load_catalogue
from schemas.cli import apply_catalogue
from tables.access import Actor, Role

ACTOR: Final = Actor(id="cli:benchmarks", team="platform", roles=(Role.ADMIN,))
RETENTION_MS: Final = 2 * 86_400_000
MAX_KEYS: Final = 100_000_000
MAX_STATE_MIB: Final = 65_536
POLL_MS: Final = 5


def definition_of(aggregation: Aggregation, source: str) -> dict[str, Any]:
    """Return an aggregation as a team writes it."""
    window, session = aggregation.window, aggregation.session
    if session is not None:
        windows, grace_ms = {"kind": "session", "gap_ms": session.gap_ms}, session.grace_ms
    elif window is not None and window.advance_ms == window.size_ms:
        windows, grace_ms = {"kind": "tumbling", "size_ms": window.size_ms}, window.grace_ms
    elif window is not None:
        hops = {"size_ms": window.size_ms, "hop_ms": window.advance_ms}
        windows, grace_ms = {"kind": "hopping", **hops}, window.grace_ms
    else:
        raise ValueError(aggregation)
    argument = {"of": f"event.{CHARGE}"}
    return {
        "name": aggregation.name,
        "owner": "benchmarks",
        "state": "active",
        "sources": [source],
        "group_by": {path.replace(".", "_"): f"event.{path}" for path in aggregation.group},
        "functions": [
            {"as": f"{name}_of_all", "function": name, **(argument if name != "count" else {})}
            for name in aggregation.functions
        ],
        "filter": condition(aggregation.tests, "event") or "true",
        "event_time": f"event.{EVENT_TIME}",
        "windows": windows,
        "grace_ms": grace_ms,
        "retention_ms": RETENTION_MS,
        "limits": {"max_keys": MAX_KEYS, "max_state_mib": MAX_STATE_MIB},
    }


def aggregate_row(job: Job, topic: str, key: bytes, value: bytes) -> Aggregate | None:
    """Read a row of the second stage; None for its own marks."""
    del topic
    try:
        found = parse_row_key(key.decode())
    except ValueError:
        return None
    name = found.build.rpartition("~")[0]
    aggregation = next(each for each in job.aggregations if each.name == name)
    _, states, *_ = orjson.loads(value)
    row = f"{'|'.join(orjson.loads(found.group))}/{found.window.start_ms}"
    if aggregation.session is not None:
        row = f"{row}/{found.window.end_ms}"
    values = (
        state if function == "count" else int(Decimal(state).scaleb(2))
        for function, state in zip(aggregation.functions, states, strict=True)
    )
    return Aggregate(name, row, tuple(values))


def settings_of(job: Job) -> Settings:
    """Return the settings by which this process reaches what the worker of `job` does."""
    chosen = {"bootstrap_servers": job.bootstrap_servers, "registry_url": job.registry_url}
    return settings().model_copy(update=chosen)


@asynccontextmanager
async def defined(cluster: Cluster, job: Job, part: Part) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Define the aggregations of `job`, to begin at `part`; give what asks how many events are taken.

    The definitions are deleted afterwards: runs have state of their own, but share the topic of them.
    """
    config = settings_of(job)
    await apply_catalogue(load_catalogue(), config)
    await _begin(cluster, job, part.topic, part.starts)
    services = Services.of(config)
    made: list[Mapping[str, Any]] = []
    try:
        for each in job.aggregations:
            made.append(await services.aggregations.create(definition_of(each, job.source), ACTOR))  # noqa: PERF401 - what was made before one fails is deleted, too
        async with _taken(cluster, job, part) as taken:
            yield taken
    finally:
        for document in made:
            await services.aggregations.delete(document["name"], document["version"], ACTOR)
        await services.close()


def _positions(job: Job) -> str:
    return f"{job.name}-{PARTIALS}-positions-changelog"


async def _begin(cluster: Cluster, job: Job, topic: str, starts: Mapping[int, int]) -> None:
    """Let the first stage go on from `starts`, as if it had followed the topic to there.

    Its slots have no records: the group and each table stand at the beginning of them.
    """
    slots, none = f"{job.name}-slots-repartition", dict.fromkeys(range(PARTITIONS), 0)
    changelogs = [_positions(job), f"{job.name}-{SOURCES}-changelog"]
    await cluster.create([slots], PARTITIONS, compacted=changelogs)
    await cluster.start_at(job.name, slots, none)
    for changelog in changelogs:
        await cluster.mark(changelog, OFFSETS_KEY, slots, none)
    producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    await producer.start()
    try:
        for partition, offset in starts.items():
            slot = slot_of(topic, partition, PARTITIONS)
            key = position_key(topic, partition).encode()
            await producer.send_and_wait(_positions(job), orjson.dumps(offset), key, partition=slot)
    finally:
        await producer.stop()


@asynccontextmanager
async def _taken(cluster: Cluster, job: Job, part: Part) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Give what asks how many events the first stage has taken: it keeps its positions in a table."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=cluster.bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    keys = {position_key(part.topic, partition).encode(): at for partition, at in part.starts.items()}
    next_ = dict(keys)

    async def taken() -> int:
        for records in (await reader.getmany(timeout_ms=POLL_MS)).values():
            next_.update({each.key: orjson.loads(each.value) for each in records if each.key in keys})
        return sum(offset - keys[key] for key, offset in next_.items())

    await reader.start()
    try:
        tps = [TopicPartition(_positions(job), slot) for slot in range(PARTITIONS)]
        reader.assign(tps)
        await reader.seek_to_beginning(*tps)
        yield taken
    finally:
        await reader.stop()


AGGREGATES: Final = Aggregates(
    repartitions=lambda job: [f"{job.name}-partials-repartition"],
    changelogs=lambda job: [f"{job.name}-{ROWS}-changelog"],
    row=aggregate_row,
    partitions=PARTITIONS,
    begun=defined,
)
