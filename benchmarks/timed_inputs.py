"""The topic of the aggregation cases, and what must come of any part of it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from benchmarks import verify
from benchmarks.aggregations import AGGREGATIONS
from benchmarks.cluster import Cluster
from benchmarks.engines import Engine, Part
from benchmarks.inputs import PARTITIONS, SCHEMA_PATH, Size, end_of
from benchmarks.publish import publish
from benchmarks.timed_claims import EVENT_TYPE, Rows, Timed, timed_claims, timed_kinds
from benchmarks.trial import Check
from benchmarks.workers.job import Job
from schemas.registry import Registry


class TimedInputs:
    """The topic, published, with the account of it.

    Args:
        size: How much is measured.
    """

    def __init__(self, size: Size) -> None:
        self._size = size
        self._timed = Timed(PARTITIONS, [])
        self._rows = cache(self._rows_from)

    async def publish(self, cluster: Cluster, registry_url: str) -> None:
        """Publish it."""
        await cluster.create([EVENT_TYPE], PARTITIONS)
        schema = json.loads(SCHEMA_PATH.read_bytes())
        async with Registry(registry_url) as registry:
            made = timed_kinds(schema, await registry.register(f"{EVENT_TYPE}-value", schema))
        self._timed = Timed(PARTITIONS, made)
        claims = timed_claims(self._size.timed + self._size.warmup_events, made, partitions=PARTITIONS)
        await publish(cluster.bootstrap_servers, EVENT_TYPE, claims, self._timed)

    def part(self, engine: Engine, case: str) -> Part:
        """Return what `engine` processes: the end of the topic."""
        events = self._size.events(engine, case)
        return end_of(EVENT_TYPE, self._timed.sizes, events, self._size.warmup(engine, case))

    def job_options(self, case: str, name: str) -> dict[str, Any]:
        """Return what a job of `case` is told of its input."""
        del name
        return {"source": EVENT_TYPE, "aggregations": AGGREGATIONS[case]}

    def check(self, engine: Engine, case: str, part: Part) -> Check:
        """Return the check of what a run on `part` wrote."""
        starts = tuple(sorted(part.starts.items()))

        async def check(job: Job) -> None:
            if engine.aggregates is not None:
                await verify.check_aggregates(engine.aggregates, job, self._rows(case, starts))

        return check

    def _rows_from(self, case: str, starts: tuple[tuple[int, int], ...]) -> dict[str, Rows]:
        return {each.name: self._timed.rows(dict(starts), each) for each in AGGREGATIONS[case]}
