"""What a worker is told to do, handed over as the path of one JSON file (see ``CASES.md``)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from benchmarks.workers.aggregation import Aggregation, Comparison, Window

ROUTE_ATTRIBUTES = "route-attributes"
ROUTE_FIELDS = "route-fields"
ROUTE_MANY = "route-attributes-1000"
"""`ROUTE_ATTRIBUTES` with a thousand rules: for workers the same case."""
KEYED_SUM = "keyed-sum"
TUMBLING = "tumbling"
HOPPING = "hopping"
AGGREGATE = "aggregate"
AGGREGATE_TUMBLING = "aggregate-tumbling"
AGGREGATE_HOPPING = "aggregate-hopping"
AGGREGATE_SESSION = "aggregate-session"
AGGREGATE_TEN = "aggregate-ten"
AGGREGATES = (AGGREGATE_TUMBLING, AGGREGATE_HOPPING, AGGREGATE_SESSION, AGGREGATE_TEN)
"""For workers all of them are `AGGREGATE`, with other aggregations in the job."""
QUERY = "query"
"""Questions to a worker that does `AGGREGATE_TUMBLING`."""
CASES = (ROUTE_ATTRIBUTES, ROUTE_FIELDS, KEYED_SUM, TUMBLING, HOPPING)
ROUTES = frozenset({ROUTE_ATTRIBUTES, ROUTE_FIELDS, ROUTE_MANY})
WINDOWS = frozenset({TUMBLING, HOPPING})
TABLE = "sums"
RULE_HEADER = "fleet_rule"

Guarantee: TypeAlias = Literal["exactly_once", "at_least_once"]


def of_workers(case: str) -> str:
    """Return a case as workers know it."""
    if case in AGGREGATES:
        return AGGREGATE
    return ROUTE_ATTRIBUTES if case == ROUTE_MANY else case


class Rule(msgspec.Struct, frozen=True):
    """An event for which all `tests` hold goes to `topic`.

    Attributes:
        name: Unique name; rules are listed in its order.
        topic: Target topic.
        tests: All must hold.
    """

    name: str
    topic: str
    tests: tuple[Comparison, ...]

    @property
    def header(self) -> bytes:
        """Value of the `RULE_HEADER` of its outputs: its name and version."""
        return f"{self.name}@1".encode()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one worker.

    Attributes:
        name: App id and consumer group, used by no other run; topics of the run begin with it.
        case: One of `CASES`, or `AGGREGATE`.
        guarantee: What the worker must hold.
        bootstrap_servers: Brokers.
        registry_url: Base URL of the schema registry (Confluent API).
        source: Source topic.
        partitions: Partitions of every topic.
        data_dir: Folder for what the worker keeps on disk.
        web_port: Port of its web views, if it has any.
        ready_path: File that the worker makes, empty, once its state is loaded and it processes.
        schema_path: The Avro schema of the claims.
        store: Where a table's rows live.
        rules: The rules of a routing case, in order of their names.
        window: The windows of a windowed case.
        aggregations: What is aggregated, where that is the case.
    """

    name: str
    case: str
    guarantee: Guarantee
    bootstrap_servers: str
    registry_url: str
    source: str
    partitions: int
    data_dir: str
    web_port: int
    ready_path: str
    schema_path: str
    store: Literal["memory", "rocksdb"] = "memory"
    rules: tuple[Rule, ...] = ()
    window: Window | None = None
    aggregations: tuple[Aggregation, ...] = ()

    @property
    def changelog(self) -> str:
        """Changelog topic of the table, as Faust and Kafka Streams name it."""
        return f"{self.name}-{TABLE}-changelog"

    @property
    def dead_letters(self) -> str:
        """Topic of the dead letters."""
        return f"{self.name}-dead-letters"

    @property
    def windows(self) -> Window:
        """The windows of a windowed case.

        Raises:
            ValueError: It has none.
        """
        if self.window is None:
            raise ValueError(self.case)
        return self.window

    def tell_ready(self) -> None:
        """Make the file that says that the worker processes."""
        Path(self.ready_path).touch()

    def write(self, path: Path) -> None:
        """Write this job to the file that its worker is started with."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)))


def take() -> Job:
    """Return the job of this process: the file that its first argument names."""
    return msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Job)
