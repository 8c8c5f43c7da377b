"""The topics that all engines read, and what must come of any part of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

from benchmarks import verify
from benchmarks.charges import Charged, Sums, charges
from benchmarks.claims import Claimed, Routed, claims, kinds
from benchmarks.cluster import Cluster
from benchmarks.engines import Engine, Part
from benchmarks.publish import publish
from benchmarks.rules import rules_of
from benchmarks.trial import ROOT, Check
from benchmarks.workers.aggregation import Window
from benchmarks.workers.job import (
    AGGREGATE_TEN,
    AGGREGATES,
    HOPPING,
    ROUTE_ATTRIBUTES,
    ROUTES,
    TUMBLING,
    WINDOWS,
    Job,
    Rule,
    of_workers,
)
from schemas.registry import Registry

PARTITIONS: Final = 4
CHARGES: Final = "bench.charges"
CLAIMS: Final = "bench.claims"
SCHEMA_PATH: Final = ROOT / "schemas" / "avro" / "canonical.claim.avsc"
SUBJECT: Final = "canonical.claim-value"
MINUTE_MS: Final = 60_000
TEN_TIMES_WORK: Final = 5
"""About how many times the work of one aggregation ten are: fewer events warm an engine up as well."""
WINDOW_OF: Final[Mapping[str, Window]] = {
    TUMBLING: Window(size_ms=MINUTE_MS, advance_ms=MINUTE_MS, grace_ms=10_000),
    HOPPING: Window(size_ms=MINUTE_MS, advance_ms=20_000, grace_ms=10_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured.

    Attributes:
        claims: Most events of the routing cases that are measured in a run, at the end of their topic.
        charges: The same of the tables' cases, which are faster; none are published for 0.
        steady_s: For about how long an engine is kept busy with them.
        warmup_events: Most events that a worker processes before; each topic begins with them.
        timed: The same as `claims` of the aggregation cases.
    """

    claims: int
    charges: int
    steady_s: float
    warmup_events: int
    timed: int = 0

    def events(self, engine: Engine, case: str) -> int:
        """Return how many events of `case` are measured in a run of `engine`."""
        most = self.timed if case in AGGREGATES else self.claims if case in ROUTES else self.charges
        return min(most, int(engine.per_s.of(case) * self.steady_s))

    def warmup(self, engine: Engine, case: str) -> int:
        """Return how many events come before them."""
        each = TEN_TIMES_WORK if case == AGGREGATE_TEN else 1
        return min(self.warmup_events, engine.warmup_events) // each


class Feed(Protocol):
    """Topics of some cases, with the account of them."""

    async def publish(self, cluster: Cluster, registry_url: str) -> None:
        """Publish them."""

    def part(self, engine: Engine, case: str) -> Part:
        """Return what `engine` processes of the topic of `case`: the end of it."""
        ...

    def job_options(self, case: str, name: str) -> dict[str, Any]:
        """Return what a job of `case` is told of its input, where the run is called `name`."""
        ...

    def check(self, engine: Engine, case: str, part: Part) -> Check:
        """Return the check of what a run on `part` wrote."""
        ...


class Inputs:
    """The two topics, published, with the account of them.

    Args:
        size: How much is measured.
    """

    def __init__(self, size: Size) -> None:
        self._size = size
        self._charged = Charged(PARTITIONS)
        self._claimed = Claimed(PARTITIONS, [])
        self._sums = cache(self._sums_from)
        self._routed = cache(self._routed_from)

    async def publish(self, cluster: Cluster, registry_url: str) -> None:
        """Publish both topics."""
        size, servers = self._size, cluster.bootstrap_servers
        await cluster.create([CHARGES, CLAIMS], PARTITIONS)
        if size.charges:
            charged = charges(size.charges + size.warmup_events, partitions=PARTITIONS)
            await publish(servers, CHARGES, charged, self._charged)
        schema = json.loads(SCHEMA_PATH.read_bytes())
        async with Registry(registry_url) as registry:
            made = kinds(schema, await registry.register(SUBJECT, schema))
        self._claimed = Claimed(PARTITIONS, made)
        claimed = claims(size.claims + size.warmup_events, made, partitions=PARTITIONS)
        await publish(servers, CLAIMS, claimed, self._claimed)

    def part(self, engine: Engine, case: str) -> Part:
        """Return what `engine` processes of the topic of `case`: the end of it."""
        topic, sizes = (CLAIMS, self._claimed.sizes) if case in ROUTES else (CHARGES, self._charged.sizes)
        return end_of(topic, sizes, self._size.events(engine, case), self._size.warmup(engine, case))

    def job_options(self, case: str, name: str) -> dict[str, Any]:
        """Return what a job of `case` is told of its input, where the run is called `name`."""
        if case in ROUTES:
            rules = rules_of(case, lambda suffix: f"{name}-{suffix}")
            return {"source": CLAIMS, "rules": rules}
        return {"source": CHARGES, "window": WINDOW_OF.get(case)}

    def check(self, engine: Engine, case: str, part: Part) -> Check:
        """Return the check of what a run on `part` wrote."""
        starts = tuple(sorted(part.starts.items()))

        async def routed(job: Job) -> None:
            found = self._routed(case, starts)
            topics = {f"{job.name}-{suffix}": sums for suffix, sums in found.topics.items()}
            await verify.check_routed(job, Routed(topics, found.rules))

        async def summed(job: Job) -> None:
            await verify.check_rows(engine, job, self._sums(case, starts))

        return routed if case in ROUTES else summed

    def routed_by(self, rules: Sequence[Rule], part: Part) -> Routed:
        """Return what rules on attributes make of `part` of the claims."""
        return self._claimed.routed(part.starts, rules, ROUTE_ATTRIBUTES)

    def _sums_from(self, case: str, starts: tuple[tuple[int, int], ...]) -> Sums:
        if case in WINDOWS:
            return self._charged.windows(dict(starts), WINDOW_OF[case])
        return self._charged.sums(dict(starts))

    def _routed_from(self, case: str, starts: tuple[tuple[int, int], ...]) -> Routed:
        return self._claimed.routed(dict(starts), rules_of(case, str), of_workers(case))


def end_of(topic: str, sizes: Mapping[int, int], events: int, warmup_events: int) -> Part:
    """Return the last `events` of a topic, with `warmup_events` before them: as many of each partition."""
    each = (events + warmup_events) // len(sizes)
    whole = events + warmup_events >= sum(sizes.values())
    starts = {partition: 0 if whole else max(0, size - each) for partition, size in sizes.items()}
    count = sum(size - starts[partition] for partition, size in sizes.items())
    return Part(topic=topic, starts=starts, events=count, warmup_events=max(0, count - events))
