"""Aggregates to be queried: rows that the test knows, in tables as the second stage keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Final

from agents.aggregator.domain.functions import At
from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.plan import Compiled, Plan, Planner
from agents.aggregator.domain.rows import BUILDS, INDEX, ROWS, Progress, Row, build_key, index_key, row_key
from agents.aggregator.domain.windowing import Window
from agents.aggregator.queries.asked import Parts
from agents.aggregator.queries.holding import Holding
from agents.aggregator.queries.targets import Target
from fleet.lane.partitioner import partition_of
from fleet.lane.store import DELETED
from fleet.lane.stores import MemoryStore
from tables.aggregations.definition import parse_definition

HOUR_MS: Final = 3_600_000
NAME: Final = "claims"
SCHEMA_ID: Final = 7
TUMBLING: Final = {"kind": "tumbling", "size_ms": HOUR_MS}
SESSIONS: Final = {"kind": "session", "gap_ms": 1_000}

Key = tuple[str | None, int | None]
"""Provider and plan."""
Values = Mapping[str, Any]

_FUNCTIONS: Final = [
    {"as": "claims", "function": "count"},
    {"as": "total", "function": "sum", "of": "event.charge", "type": "decimal(2)"},
    {"as": "seen", "function": "collect", "of": "event.charge", "type": "decimal(2)", "limit": 3},
    {"as": "spread", "function": "quantiles", "of": "event.charge", "type": "decimal(2)", "quantiles": [0.5]},
    {"as": "ratio", "function": "max", "of": "event.ratio", "type": "double"},
]


def calculation(windows: Mapping[str, Any], grace_ms: int = 0) -> dict[str, Any]:
    """Return the calculation of claims by provider and plan."""
    return {
        "sources": ["canonical.claim"],
        "group_by": {"provider": "event.provider", "plan": "event.plan"},
        "functions": _FUNCTIONS,
        "windows": dict(windows),
        "grace_ms": grace_ms,
    }


def definition(
    windows: Mapping[str, Any] = TUMBLING, *, grace_ms: int = 0, numbers: Iterable[int] = (3,), **fields: Any
) -> dict[str, Any]:
    """Return an active aggregation with builds of these numbers, the first of which is served."""
    made = calculation(windows, grace_ms)
    numbers = list(numbers)
    builds = [{**made, "number": number, "output_schema": SCHEMA_ID} for number in numbers]
    about = {"name": NAME, "version": max(numbers), "owner": "finance", "state": "active"}
    return {**about, **made, "builds": builds, "serving": numbers[0], **fields}


def planned(*documents: Mapping[str, Any]) -> Plan:
    """Return the plan of aggregations."""
    found = [parse_definition(document) for document in documents]
    return Planner().plan({each.name: each for each in found}, 1)


def schema() -> dict[str, Any]:
    """Return what of the schema of the results queries read: the types of the key."""
    fields = [{"name": "provider", "type": ["null", "string"]}, {"name": "plan", "type": ["null", "long"]}]
    return {"type": "record", "name": "claims", "fields": fields}


class Schemas:
    """Has that schema."""

    async def schema(self, schema_id: int) -> dict[str, Any]:
        """Return it."""
        assert schema_id == SCHEMA_ID
        return schema()

    async def latest(self, subject: str) -> Any:
        """Nobody asks for the newest one."""
        raise AssertionError(subject)


@dataclass
class World:
    """The rows of one build, and partitions that hold them.

    Attributes:
        compiled: The build.
        partitions: How many partitions there are.
        known: What each row must be answered as: its results by key and window.
    """

    compiled: Compiled
    partitions: int = 3
    known: dict[tuple[Key, Window], Values] = field(default_factory=dict)
    stores: list[dict[str, MemoryStore]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with empty tables."""
        self.stores = [
            {name: MemoryStore() for name in (ROWS, INDEX, BUILDS)} for _ in range(self.partitions)
        ]

    @property
    def target(self) -> Target:
        """The build as queries have it."""
        return Target(self.compiled, Parts(("provider", "plan"), schema()))

    def partition_of(self, key: Key) -> int:
        """Return the partition of a key."""
        return partition_of(group_key(key).encode(), self.partitions)

    def put(self, key: Key, window: Window, charges: Iterable[str]) -> None:
        """Put a row of claims with these charges."""
        values = [Decimal(each) for each in charges]
        ats = [At(window.start_ms, "canonical.claim", 0, offset) for offset, _ in enumerate(values)]
        states = []
        for function in self.compiled.functions:
            given: list[Any] = [float(each) for each in values] if function.name == "ratio" else values
            states.append(function.add_all(function.empty(), given, ats))
        group = group_key(key)
        tables = self.stores[self.partition_of(key)]
        name = row_key(self.compiled.id, group, window)
        tables[ROWS].apply({name: list(Row(len(values), states, 100))}, {}, None)
        tables[INDEX].apply({index_key(self.compiled.id, window, group): 0}, {}, None)
        self.known[key, window] = {"claims": len(values), "total": f"{sum(values, Decimal(0)):.2f}"}

    def remove(self, key: Key, window: Window) -> None:
        """Take a row away, as expiry does."""
        group = group_key(key)
        tables = self.stores[self.partition_of(key)]
        tables[ROWS].apply({row_key(self.compiled.id, group, window): DELETED}, {}, None)
        tables[INDEX].apply({index_key(self.compiled.id, window, group): DELETED}, {}, None)
        del self.known[key, window]

    def move(
        self, watermark_ms: int | None, partitions: Iterable[int] | None = None, **progress: Any
    ) -> None:
        """Set how far the build has got, in all partitions or in some."""
        for number in range(self.partitions) if partitions is None else partitions:
            row = Progress(watermark_ms=watermark_ms, **progress).row()
            self.stores[number][BUILDS].apply({build_key(number, self.compiled.id): row}, {}, None)

    def holding(self, partition: int, lag: int | None = None) -> Holding:
        """Return a partition as its owner, or a standby that lags, has it."""
        return Holding(partition, self.stores[partition], lag, 1_000)

    def holdings(self) -> list[Holding]:
        """Return all partitions, as their owners have them."""
        return [self.holding(partition) for partition in range(self.partitions)]


def a_world(windows: Mapping[str, Any] = TUMBLING, *, grace_ms: int = 0, partitions: int = 3) -> World:
    """Return a world without rows."""
    return World(_compiled(json.dumps(windows), grace_ms), partitions)


@cache
def _compiled(windows: str, grace_ms: int) -> Compiled:
    return planned(definition(json.loads(windows), grace_ms=grace_ms)).builds[f"{NAME}~3"]
