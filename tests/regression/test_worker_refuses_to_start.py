"""A worker that cannot work says so in one line and ends, in place of a crash loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lane_worker import TABLE, topics_of
from tests.support.polling import until
from tests.support.stack import free_ports
from tests.support.stock_faust import raw_topic, running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster
    from tests.support.lane_processes import Workers

pytestmark = pytest.mark.stack

START_LIMIT_S = 60.0


async def _last_words(workers: Workers) -> str:
    """Start a worker, and return the one line that it ends with."""
    worker = workers.start()
    assert await worker.ended(START_LIMIT_S) == 1
    said = worker.said()
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("eventfleet: ")]
    assert said.splitlines()[-1] == line
    return line


@pytest.mark.parametrize("suffix", ["", "-dead"], ids=["source", "dead letters"])
async def test_a_missing_topic_is_named(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str], suffix: str
) -> None:
    """The topic, and the command that creates it."""
    source = unique("charges")
    topics = topics_of(source, 2)
    del topics[source + suffix]
    await cluster.create(topics)
    line = await _last_words(new_workers(unique("app"), source))
    assert f"topic {source}{suffix} does not exist" in line
    assert "eventfleet topics apply" in line


async def test_stock_faust_restarts_its_agent_again_and_again(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """A changelog of other partitions than its source: each event kills the agent, and the app lives on."""
    name, source, starts = unique("app"), unique("charges"), 0
    await cluster.create({source: 4, f"{name}-counts-changelog": 3})
    app = stock_app(name, tmp_path, cluster)
    table = app.Table("counts", default=int, partitions=3)

    async def agent(stream: Any) -> None:
        nonlocal starts
        starts += 1
        async for _ in stream:
            table["key"] += 1

    async def three() -> bool:
        return starts >= 3

    app.agent(raw_topic(app, source))(agent)
    await cluster.send(source, [(b"key-%d" % number, b"") for number in range(20)], partitions=4)
    async with running(app):
        await until(three, START_LIMIT_S, "a third start of the agent")
        assert not app.crashed


async def test_a_changelog_with_other_partitions_than_its_source_is_named(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """The counts of both, and that it must not be mended in place."""
    app_id, source = unique("app"), unique("charges")
    changelog = f"{app_id}-{TABLE}-changelog"
    await cluster.create({**topics_of(source, 4), changelog: 3})
    line = await _last_words(new_workers(app_id, source))
    assert f"{source} has 4" in line
    assert f"{changelog} has 3" in line
    assert "never expand in place" in line


async def test_kafka_out_of_reach_is_named(new_workers: NewWorkers, unique: Callable[[str], str]) -> None:
    """The address, and what to start or set."""
    workers = new_workers(unique("app"), unique("charges"))
    (port,) = free_ports(1)
    workers.settings = workers.settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{port}"})
    line = await _last_words(workers)
    assert f"Kafka at 127.0.0.1:{port} does not answer" in line
    assert "EVENTFLEET_BOOTSTRAP_SERVERS" in line
