"""The gateway's readiness against real parts: broker, registry, a worker that lives and dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from fleet.settings import Settings
from gateway.app import new_app
from tests.support.lane_kafka import Cluster
from tests.support.lane_processes import Workers
from tests.support.lane_worker import topics_of
from tests.support.stack import free_ports


@pytest.fixture
def workers(stack_settings: Settings, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Workers]:
    """Workers of an app of this test alone."""
    made = Workers(stack_settings, tmp_path, unique("sum"), unique("charges"))
    yield made
    made.end()


async def test_readiness_follows_the_real_parts(stack_settings: Settings, workers: Workers) -> None:
    """Broker and registry are ready, so is a worker that runs; a worker that was killed is not."""
    await Cluster(stack_settings.kafka).create(topics_of(workers.source, 1))
    (worker,) = await workers.all_ready(1)
    (nobody,) = free_ports(1)
    ports = {"router_port": worker.port, "aggregator_port": nobody, "normalizer_port": nobody}
    settings = stack_settings.model_copy(update=ports)
    async with TestClient(TestServer(new_app(settings))) as client:
        running = await (await client.get("/", headers={"Accept": "application/json"})).json()
        assert [part for part, found in running["parts"].items() if found["ready"]] == [
            "broker",
            "registry",
            "router",
        ]
        worker.kill()
        reasons = (await (await client.get("/health/ready")).json())["reasons"]
        assert f"router: nothing answers at 127.0.0.1:{worker.port}" in reasons
