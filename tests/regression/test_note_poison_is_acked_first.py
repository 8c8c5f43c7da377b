"""Field note: a value that does not decode is acked first, then thrown into the agent, which dies of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from faust.exceptions import ValueDecodeError

from fleet.lane.dead_letters import reason_of
from tests.support.lane_host import local_lane
from tests.support.lane_load import Load
from tests.support.stock_faust import all_committed, running, stock_app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

POISON = b"\xff no json"


async def test_stock_faust_commits_poison_and_restarts_its_agent(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """The agent never sees the bytes: it is started again, and the record is committed for good."""
    source = unique("source")
    await cluster.create({source: 1})
    app = stock_app(unique("app"), tmp_path, cluster)
    seen: list[Any] = []
    died_of: list[BaseException] = []

    async def agent(stream: Any) -> None:
        try:
            async for event in stream:
                seen.append(event)  # noqa: PERF401 - what came before the error counts
        except ValueDecodeError as error:
            died_of.append(error)
            raise

    app.agent(app.topic(source, value_type=int))(agent)
    await cluster.send(source, [(None, b"1"), (None, POISON), (None, b"2")], partitions=1, at=0)
    async with running(app):
        await all_committed(cluster, app, source)
    assert seen == [1, 2]
    assert len(died_of) == 1


async def test_the_lane_keeps_poison_byte_for_byte(cluster: Cluster, unique: Callable[[str], str]) -> None:
    """The agent gets bytes and decodes them itself: what it cannot read is a dead letter, whole."""
    load = await Load.prepared(cluster, unique, seed=22)
    await load.send(100)
    await cluster.send(load.source, [(b"key", POISON)], partitions=4, at=2)
    async with local_lane(load) as lane:
        await load.consumed()
        assert set(lane.statuses().values()) == {"running"}
    await cluster.settled(f"{load.source}-dead")
    (letter,) = await cluster.read(f"{load.source}-dead")
    assert (letter.key, letter.value) == (b"key", POISON)
    assert reason_of(letter.headers)["partition"] == "2"
