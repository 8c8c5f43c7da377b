"""Trap 3: Faust's recovery does not end on a changelog that is written by transactions.

Its last offset is a commit marker, which no consumer ever gets: the worker stood in "recovering",
with all its sources paused, for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiokafka.structs import TopicPartition

from fleet.lane import LaneApp
from fleet.lane.tables import LaneTable
from tests.support.lane_load import Load
from tests.support.lane_worker import TABLE, new_app
from tests.support.polling import until
from tests.support.stock_faust import running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fleet.settings import Settings
    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

WAIT_S = 4.0  # A topic without markers takes two.


@pytest.mark.stack
async def test_stock_recovery_waits_for_a_marker_that_never_comes(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """All rows are there and one "remains"; the web server says 200 meanwhile, so ``/`` is no readiness."""
    name = unique("app")
    changelog = TopicPartition(f"{name}-counts-changelog", 0)
    await cluster.create({changelog.topic: 1})
    async with cluster.producer(transactional_id=unique("tx")) as producer, producer.transaction():
        for row in range(10):
            await producer.send(changelog.topic, key=b'"key-%d"' % row, value=b"1", partition=0)
    app = stock_app(name, tmp_path, cluster, web_enabled=True)
    app.Table("counts", default=int, partitions=1)

    async def read() -> bool:
        recovery = app.tables.recovery
        return bool(recovery.active_remaining() == {changelog: 1} and recovery.active_offsets[changelog] == 9)

    async def ready() -> bool:
        return bool(app.tables.actives_ready)

    async with running(app, to_the_end=False):
        await until(read, 60, "the last row read")
        with pytest.raises(AssertionError, match="not within"):
            await until(ready, WAIT_S, "a worker that is ready")
        assert await read()
        url = f"http://127.0.0.1:{app.conf.web_port}/"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200


@pytest.mark.stack
async def test_a_worker_is_ready_on_a_transactional_changelog(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """A restart finds a changelog that ends in a marker, loads it, and goes on with its sums."""
    load = await Load.prepared(cluster, unique, seed=3)
    await load.send(2000)
    workers = new_workers(load.app_id, load.source)
    first = workers.start()
    await load.consumed()
    first.kill()
    changelog = f"{load.app_id}-{TABLE}-changelog"
    last = {record.partition: record.offset for record in await cluster.read(changelog)}
    ends = await cluster.ends(changelog)
    assert {number: end - 2 for number, end in ends.items()} == last, "the last offset is a marker"
    second = workers.start()
    await second.ready()
    assert sum(task["rows"] for task in await second.tasks()) == len(load.ledger.sums)
    await load.send(500)
    await load.consumed()
    await load.check()


def test_faust_lists_the_table_and_reads_none_of_its_changelog(
    stack_settings: Settings, unique: Callable[[str], str]
) -> None:
    """The table is one of the app's; its changelog is none of those that Faust recovers."""
    app = new_app(unique("app"), 6066, unique("source"), stack_settings)
    assert isinstance(app, LaneApp)
    assert isinstance(app.tables[TABLE], LaneTable)
    assert app.tables.changelog_topics == set()
