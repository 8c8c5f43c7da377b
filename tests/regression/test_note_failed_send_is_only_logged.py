"""Field note: a send that fails is only logged, and the source offset is committed all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fleet.lane import Emit
from fleet.lane.dead_letters import reason_of
from tests.support.lane_host import local_lane, summing_agent
from tests.support.lane_load import Load
from tests.support.stock_faust import all_committed, raw_topic, running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fleet.lane import Chunk, Effect, State
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SMALL = {"max_message_bytes": "2000"}
EVENT = b"x" * 5000


async def test_stock_faust_commits_over_a_send_that_failed(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """The output is nowhere, and its source is committed."""
    source, out = unique("source"), unique("out")
    await cluster.create({source: 1})
    await cluster.create({out: 1}, **SMALL)
    app = stock_app(unique("app"), tmp_path, cluster)
    to = raw_topic(app, out)

    async def agent(stream: Any) -> None:
        async for event in stream:
            await to.send(value=event)

    app.agent(raw_topic(app, source))(agent)
    await cluster.send(source, [(None, EVENT)], partitions=1, at=0)
    async with running(app):
        await all_committed(cluster, app, source)
    assert await cluster.read(out) == []


async def test_the_lane_sets_aside_what_its_target_does_not_take(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """The output that is too large becomes a dead letter of its source record, committed with it."""
    load, out = await Load.prepared(cluster, unique, seed=24), unique("out")
    await cluster.create({out: 1}, **SMALL)

    def forward(chunk: Chunk, state: State) -> Iterator[Effect]:
        del state
        for record in chunk:
            yield Emit(out, record.key, record.value, cause=record)

    await cluster.send(load.source, [(b"key", EVENT), (b"key", b"small")], partitions=4, at=0)
    async with local_lane(load, replace(summing_agent(load), process=forward, tables=())):
        await load.consumed()
    for topic in (out, f"{load.source}-dead"):
        await cluster.settled(topic)
    assert [record.value for record in await cluster.read(out)] == [b"small"]
    (letter,) = await cluster.read(f"{load.source}-dead")
    assert letter.value == EVENT
    assert reason_of(letter.headers)["reason"] == "record_too_large"
