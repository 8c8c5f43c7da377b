"""The aggregations of a run of the benchmark are there for as long as it takes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from api.services import Services
from benchmarks.aggregations import AGGREGATIONS
from benchmarks.aggregators import ENGINES
from benchmarks.cluster import Cluster
from benchmarks.engines import PRODUCT, Part
from benchmarks.inputs import SCHEMA_PATH
from benchmarks.measure import MeasureError
from benchmarks.product import defined, settings_of
from benchmarks.rig import rig
from benchmarks.workers.job import AGGREGATE, AGGREGATE_TUMBLING, Job
from fleet.settings import Settings
from schemas.registry import Registry

PARTITIONS = 4


async def failing(cluster: Cluster, job: Job, part: Part, services: Services) -> None:
    """Define what a job aggregates, and fail."""
    (aggregation,) = job.aggregations
    async with defined(cluster, job, part):
        found = await services.aggregations.get(aggregation.name)
        raise MeasureError(f"no progress while {found['state']}")


async def test_a_run_that_fails_leaves_no_aggregation(
    stack_settings: Settings, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """Each later run would compute it too."""
    source, core = unique("claims"), max(os.sched_getaffinity(0))
    schema = json.loads(SCHEMA_PATH.read_bytes())
    async with Registry(stack_settings.registry) as registry:
        await registry.register(f"{source}-value", schema)
    async with rig(stack_settings.kafka, stack_settings.registry, core, tmp_path, print) as on:
        await on.cluster.create([source], PARTITIONS)
        aggregations = AGGREGATIONS[AGGREGATE_TUMBLING]
        job = on.job(ENGINES[PRODUCT], AGGREGATE, unique("run"), source=source, aggregations=aggregations)
        part = Part(topic=source, starts=dict.fromkeys(range(PARTITIONS), 0), events=1, warmup_events=0)
        services, (aggregation,) = Services.of(settings_of(job)), aggregations
        try:
            with pytest.raises(MeasureError, match="no progress while active"):
                await failing(on.cluster, job, part, services)
            left = await services.aggregations.get(aggregation.name)
            assert left["state"] == "deleted"
        finally:
            await services.close()
