"""Trap 20: each partition that a transaction touches costs a marker, and every reader of it the wait."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fleet.lane import Emit
from tests.support.lane_host import local_lane, summing_agent
from tests.support.lane_load import Load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.lane import Chunk, Effect, State
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

TARGETS = 12


async def test_kafka_writes_a_marker_into_each_partition_touched(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """A broadcast of one record to each of twelve partitions is twelve records and twelve markers."""
    out = unique("out")
    await cluster.create({out: TARGETS})
    async with cluster.producer(transactional_id=unique("tx")) as producer, producer.transaction():
        for partition in range(TARGETS):
            await producer.send(out, b"watermark", partition=partition)
    await cluster.settled(out)
    assert await cluster.ends(out) == dict.fromkeys(range(TARGETS), 2)


async def test_the_lane_touches_only_the_partitions_it_has_records_for(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """All outputs go to one partition of twelve: the others stay empty, and so do the dead letters."""
    load, out = await Load.prepared(cluster, unique, seed=20), unique("out")
    await cluster.create({out: TARGETS})
    await load.send(400)

    def forward(chunk: Chunk, state: State) -> Iterator[Effect]:
        del state
        for record in chunk:
            yield Emit(out, record.key, record.value, partition=3, cause=record)

    async with local_lane(load, replace(summing_agent(load), process=forward)):
        await load.consumed()
    await cluster.settled(out)
    ends = await cluster.ends(out)
    assert ends.pop(3) > 400
    assert set(ends.values()) == {0}
    assert set((await cluster.ends(f"{load.source}-dead")).values()) == {0}
