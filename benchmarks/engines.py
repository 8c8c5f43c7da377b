"""What is measured: how each engine is started, and how its tables are read."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import orjson

from agents.router.route import COUNTS
from benchmarks.cluster import Cluster
from benchmarks.workers.job import CASES, ROUTES, WINDOWS, Guarantee, Job
from fleet.lane.store import OFFSETS_KEY

RECOVERY = "recovery"
LATENCY = "latency"
ALL_CASES: Final = (*CASES, RECOVERY, LATENCY)
PRODUCT = "eventfleet"
FAUST = "faust"
FLOOR = "floor"

Row = tuple[str, tuple[int, int]]
"""Member, or ``<member>/<start of the window, ms>``; number of events and sum in cents."""
ReadRow = Callable[[str, bytes, bytes], Row | None]
"""From the case, key and value of a changelog record; None where it is no row of the table."""


def _changelog(job: Job) -> str:
    return job.changelog


def _lane_changelog(job: Job) -> str:
    """Return the changelog of the case's one table: the router counts events by rule in its own."""
    return f"{job.name}-{COUNTS}-changelog" if job.case in ROUTES else job.changelog


def text_row(case: str, key: bytes, value: bytes) -> Row | None:
    """Read a row as the lane writes it: text and JSON, what is not about a member left out."""
    del case
    name = key.decode()
    count, cents = orjson.loads(value) if name.startswith("M") else (0, 0)
    return (name, (count, cents)) if name.startswith("M") else None


def json_row(case: str, key: bytes, value: bytes) -> Row | None:
    """Read a row as stock Faust writes it: JSON, windows as ``[key, [start, end]]`` in seconds."""
    name = orjson.loads(key)
    if case in WINDOWS:
        member, (start_s, _) = name
        name = f"{member}/{round(start_s * 1000)}"
    count, cents = orjson.loads(value)
    return name, (count, cents)


class PerSecond(NamedTuple):
    """Events a second, roughly: of the cases that route, of those with a table, and of others by name."""

    routes: int
    tables: int
    others: Mapping[str, int] = {}

    def of(self, case: str) -> int:
        """Return it for `case`."""
        if case in self.others:
            return self.others[case]
        return self.routes if case in {*ROUTES, LATENCY} else self.tables


class Aggregate(NamedTuple):
    """A result of an aggregation, as a changelog has it.

    Attributes:
        aggregation: Its name.
        row: ``<group>/<start>`` of a window, ``<group>/<start>/<end>`` of a session; times in ms.
        values: The values of its functions, charges in cents.
    """

    aggregation: str
    row: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a source topic that an engine processes: all from `starts` on.

    Attributes:
        topic: The source topic.
        starts: First offset by partition.
        events: Number of events from there on.
        warmup_events: How many of them, at first, are not measured.
    """

    topic: str
    starts: Mapping[int, int]
    events: int
    warmup_events: int


Begun = Callable[[Cluster, Job, Part], AbstractAsyncContextManager[Callable[[], Awaitable[int]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregates:
    """How an engine does the cases of ``make bench-aggregation``.

    Attributes:
        repartitions: Gives the topics through which events, or what is made of them, go to their group's
            partition: an engine is done once it has read them to their end.
        changelogs: Gives the topics of its rows.
        row: Reads a record of one, from the job, topic, key and value; None where it is no result.
        partitions: Partitions of the changelogs, where they are not as many as of the source.
        begun: Makes all ready for a worker that begins at a part of the source, and gives what asks how many
            events of it are taken, where that is not what its consumer group has committed.
    """

    repartitions: Callable[[Job], Sequence[str]]
    changelogs: Callable[[Job], Sequence[str]]
    row: Callable[[Job, str, bytes, bytes], Aggregate | None]
    partitions: int | None = None
    begun: Begun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One of what is measured.

    Attributes:
        name: Name in the results.
        guarantee: ``exactly_once`` or ``at_least_once``.
        settings: How it is set, for the results.
        command: Gives the command for the path of a job.
        cases: What it does; see `ALL_CASES`.
        per_s: About how many events it does in a second: it is given as many as keep it busy for some
            seconds, the end of the topic.
        warmup_events: Events that it processes before any that are measured.
        max_runs: Most repetitions: slow engines take fewer.
        state_keys: Most members in `RECOVERY`.
        store: Where its tables live.
        changelog: Gives the topic of its table's rows.
        makes_changelog: Whether it makes that topic itself.
        row: Reads a row of it.
        mark: The key under which its changelog holds the source offsets that its rows stand at;
            an engine that starts amid a topic finds them there.
        aggregates: How it aggregates, if it does.
    """

    name: str
    guarantee: Guarantee
    settings: str
    command: Callable[[Path], list[str]]
    per_s: PerSecond
    cases: tuple[str, ...] = ALL_CASES
    warmup_events: int = 0
    max_runs: int = sys.maxsize
    state_keys: int = sys.maxsize
    store: Literal["memory", "rocksdb"] = "memory"
    changelog: Callable[[Job], str] = _changelog
    makes_changelog: bool = False
    row: ReadRow = text_row
    mark: bytes | None = None
    aggregates: Aggregates | None = None


def python(module: str) -> Callable[[Path], list[str]]:
    """Return the command of a worker in Python."""
    return lambda job: [sys.executable, "-m", module, str(job)]


OWN_ENGINES: Final = (
    Engine(
        name=PRODUCT,
        guarantee="exactly_once",
        settings="as shipped: lane agent, lane table in memory, JSON by msgspec, routing by the router "
        "agent's own code",
        command=python("benchmarks.workers.lane"),
        per_s=PerSecond(200_000, 700_000),
        warmup_events=50_000,
        changelog=_lane_changelog,
        mark=OFFSETS_KEY,
    ),
    Engine(
        name=f"{PRODUCT}-rocksdb",
        guarantee="exactly_once",
        settings="as shipped: lane agent, lane table in RocksDB",
        command=python("benchmarks.workers.lane"),
        per_s=PerSecond(200_000, 200_000),
        cases=(RECOVERY,),
        store="rocksdb",
        mark=OFFSETS_KEY,
    ),
    Engine(
        name=FAUST,
        guarantee="at_least_once",
        settings="uvloop, Cython, values as bytes with msgspec and fastavro in the agent, memory table, "
        "no standbys, no leader topic, producer linger 20 ms and batches of 256 KiB, deliveries not awaited",
        command=python("benchmarks.workers.stock_faust"),
        per_s=PerSecond(7_000, 10_000),
        max_runs=2,
        state_keys=50_000,
        warmup_events=2_000,
        row=json_row,
    ),
    Engine(
        name=FLOOR,
        guarantee="at_least_once",
        settings="bare aiokafka in a plain loop, uvloop, msgspec, fastavro, batches of 512 KiB, deliveries "
        "awaited; no state is loaded",
        command=python("benchmarks.workers.floor"),
        per_s=PerSecond(70_000, 400_000),
        max_runs=3,
        cases=(*CASES, LATENCY),
        warmup_events=50_000,
    ),
)
