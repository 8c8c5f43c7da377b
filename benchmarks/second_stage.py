"""The second stage of the aggregator in this process, given what the first one would write."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import msgspec

from agents.aggregator.app import PARTITIONS
from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.messages import Mark, Partial, Source, encode
from agents.aggregator.domain.plan import Compiled, Plan, build_id
from agents.aggregator.domain.rows import (
    BUILDS,
    INDEX,
    ROWS,
    TABLES,
    Progress,
    Row,
    RowKey,
    build_key,
    window_prefix,
)
from agents.aggregator.domain.windowing import Window
from agents.aggregator.merge import Merger
from benchmarks.aggregations import AGGREGATIONS, MINUTE_MS
from benchmarks.inputs import SCHEMA_PATH
from benchmarks.measure import MeasureError
from benchmarks.product import definition_of
from benchmarks.timed_claims import BASE_MS, EVENT_TYPE
from benchmarks.workers.job import AGGREGATE_TUMBLING
from fleet.lane import Tick
from fleet.lane.partitioner import partition_of
from fleet.lane.staging import Stage
from fleet.lane.state import State
from fleet.lane.store import Store
from fleet.lane.stores import Stores
from schemas.codec import Codec
from schemas.registry import SubjectVersion
from tables.aggregations.calculation import Build, Calculation
from tables.aggregations.checks import check_definition
from tables.aggregations.definition import parse_definition
from tables.aggregations.schemas import derive_output_schema

WINDOWS: Final = 100
"""Windows whose rows are kept; those before have expired."""
OPEN_WINDOWS: Final = 80
"""How many of them are still to close: for the others finals are written, which is most of the work."""
SHARES: Final = 500
MESSAGES: Final = 8
"""Messages of a chunk, each with so many shares."""
CHUNK_MS: Final = 200
SCHEMA_ID: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A record of the repartition topic, as far as merging looks at it (see `fleet.lane.record.Record`)."""

    value: bytes
    offset: int
    partition: int
    topic: str = "partials"
    key: bytes | None = None
    timestamp: int = BASE_MS
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True, slots=True)
class _Schemas:
    """The one schema of the results (see `schemas.codec.SchemaSource`)."""

    found: dict[str, Any]

    async def schema(self, schema_id: int) -> dict[str, Any]:
        if schema_id != SCHEMA_ID:
            raise KeyError(schema_id)
        return self.found

    async def latest(self, subject: str) -> SubjectVersion:
        raise KeyError(subject)


def build_of() -> tuple[Compiled, dict[str, Any]]:
    """Return the build of count and sum by provider and minute, with finals; and the schema of them."""
    (aggregation,) = AGGREGATIONS[AGGREGATE_TUMBLING]
    document = definition_of(aggregation, EVENT_TYPE)
    document |= {
        "version": 1,
        "grace_ms": OPEN_WINDOWS * MINUTE_MS,
        "retention_ms": (WINDOWS - 1 - OPEN_WINDOWS) * MINUTE_MS,
        "output": {"topic": "bench.finals", "mode": "finals"},
    }
    schemas = {EVENT_TYPE: json.loads(SCHEMA_PATH.read_bytes())}
    definition = check_definition(parse_definition(document), schemas).definition
    schema = derive_output_schema(definition, schemas)
    calculation = {each: getattr(definition, each) for each in Calculation.__struct_fields__}
    build = Build(number=1, output_schema=SCHEMA_ID, **calculation)
    served = msgspec.structs.replace(definition, builds=(build,), serving=1)
    return Compiled(build_id(definition.name, 1), served, build), schema


def window_of(number: int) -> Window:
    """Return a window by its number, from 0."""
    start_ms = BASE_MS + number * MINUTE_MS
    return Window(start_ms, start_ms + MINUTE_MS)


def share_of(group: int) -> tuple[int, list[Any]]:
    """Return how many events a group has in each window, and the states of count and sum."""
    events = 1 + group % 3
    return events, [events, f"{group % 1_000}.25"]


class Second:
    """The second stage with all its partitions, as a worker that is alone has it.

    Args:
        stores: Opens the stores.
        groups: How many groups each window has.

    Attributes:
        told: Finals that were written, by topic.
        wall_s: Seconds that the stage was at work.
        cpu_s: CPU seconds of all threads meanwhile.
    """

    def __init__(self, stores: Stores, groups: int) -> None:
        self.build, schema = build_of()
        self.told: Counter[str] = Counter()
        self.wall_s = self.cpu_s = 0.0
        self._stores = stores
        self._plan = Plan({self.build.id: self.build}, 1)
        self._codec = Codec(_Schemas(schema))
        self._merger = Merger(self._codec, lambda: self._plan, lambda: 1, PARTITIONS)
        self._tables: list[dict[str, Store]] = []
        self._offsets, self._now_ms = count(), BASE_MS
        self._groups: list[list[int]] = [[] for _ in range(PARTITIONS)]
        for group in range(groups):
            self._groups[partition_of(_text(group).encode(), PARTITIONS)].append(group)

    async def open(self) -> None:
        """Open the stores, and get the schema of the results."""
        await self._codec.ensure([SCHEMA_ID])
        for partition in range(PARTITIONS):
            self._tables.append({name: await self._stores.open(name, partition) for name in TABLES})

    def close(self) -> None:
        """Close the stores."""
        for tables in self._tables:
            for store in tables.values():
                store.close()

    def take(self, number: int) -> None:
        """Merge all of a window, and let go of what closes or expires with it."""
        for partition, groups in enumerate(self._groups):
            chunk = [
                Written(value=value, offset=next(self._offsets), partition=partition)
                for value in self._messages(number, groups)
            ]
            for place in range(0, len(chunk), MESSAGES):
                self._merged(partition, chunk[place : place + MESSAGES])

    def _messages(self, number: int, groups: Sequence[int]) -> Iterator[bytes]:
        window, source = window_of(number), Source(EVENT_TYPE, 0)
        mark = Mark(self.build.id, source, 1, window.start_ms)
        for place in range(0, len(groups), SHARES):
            shares: dict[str, list[tuple[int, int, int, list[Any]]]] = {
                _text(group): [(window.start_ms, window.end_ms, *share_of(group))]
                for group in groups[place : place + SHARES]
            }
            yield encode(Partial(self.build.id, source, shares, mark=mark))

    def _merged(self, partition: int, chunk: Sequence[Written]) -> None:
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        again = self._committed(partition, lambda state: self._merger.process(chunk, state))
        while again:
            again = self._committed(
                partition, lambda state: self._merger.on_tick(Tick(self._now_ms, {}), state)
            )
        self.wall_s += time.perf_counter() - began_s
        self.cpu_s += time.process_time() - began_cpu_s
        self._now_ms += CHUNK_MS

    def _committed(self, partition: int, effects: Callable[[State], Iterator[Any]]) -> bool:
        """Commit what comes of the state as it is; return whether a tick is to follow at once."""
        tables = self._tables[partition]
        stage = Stage(State(tables, partition, self._plan, self._now_ms))
        stage.take(effects(stage.state))
        if stage.dead_letters:
            raise MeasureError(f"a share was refused: {stage.dead_letters[0].detail}")
        self.told.update(each.topic for each in stage.outputs())
        for name, rows in stage.state.staged.items():
            tables[name].apply(rows, {}, None)
        return stage.tick_again

    @property
    def keys(self) -> int:
        """How many rows it says that it keeps."""
        rows = (tables[BUILDS].get(build_key(at, self.build.id)) for at, tables in enumerate(self._tables))
        return sum(Progress.of(row).keys for row in rows)

    def check(self, number: int, *, there: bool) -> None:
        """Check the rows of a window, all of them, or that there are none.

        Raises:
            MeasureError: A row is missing or wrong, or there is one that should have expired.
        """
        window, build = window_of(number), self.build.id
        for tables, groups in zip(self._tables, self._groups, strict=True):
            prefix = window_prefix(build, window)
            found = sum(1 for _ in tables[INDEX].scan(prefix, f"{prefix[:-1]}}}"))
            wanted = len(groups) if there else 0
            if found != wanted:
                raise MeasureError(f"window {number} has {found:,} rows in the index, not {wanted:,}")
            for group in groups:
                row = tables[ROWS].get(RowKey(build, _text(group), window).in_rows)
                if (row is None) == there or (there and not _is_right(row, group)):
                    raise MeasureError(f"the row of group {group} in window {number} is {row}")


def _text(group: int) -> str:
    return group_key([f"{1_000_000_000 + group}"])


def _is_right(value: Any, group: int) -> bool:
    row, (events, states) = Row.of(value), share_of(group)
    return row.events == events and list(row.states) == states
