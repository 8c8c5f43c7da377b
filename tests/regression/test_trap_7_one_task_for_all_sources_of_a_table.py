"""Trap 7: two producers for one changelog partition lose updates between their staged writes.

The unit is the task (agent, partition): one transactional id, one state, all source topics.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiokafka.structs import TopicPartition

from fleet.lane.errors import Halted
from fleet.lane.store import OFFSETS_KEY
from tests.support.lane_host import local_lane, summing_agent
from tests.support.lane_load import PARTITIONS, Load
from tests.support.lane_worker import AGENT, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack


async def test_an_id_for_each_source_topic_loses_an_update(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Two owners read the same count and each commits one more: no fence between them, one update lost."""
    group, table, sources = unique("app"), unique("changelog"), [unique("charges"), unique("more")]
    await cluster.create({table: 1, **dict.fromkeys(sources, 1)})
    async with (
        cluster.producer(transactional_id=f"{group}-{sources[0]}-0") as first,
        cluster.producer(transactional_id=f"{group}-{sources[1]}-0") as second,
    ):
        counts = [len(await cluster.read(table)) for _ in sources]
        for producer, source, count in zip((first, second), sources, counts, strict=True):
            async with producer.transaction():
                await producer.send_and_wait(table, b"%d" % (count + 1), key=b"key", partition=0)
                await producer.send_offsets_to_transaction({TopicPartition(source, 0): 1}, group)
    await cluster.settled(table)
    assert [record.value for record in await cluster.read(table)] == [b"1", b"1"]


async def test_two_sources_share_one_table_without_lost_updates(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Charges of the same members come by two topics at once; the sums are exact."""
    load = await Load.prepared(cluster, unique, seed=7)
    other = unique("more-charges")
    await cluster.create({other: PARTITIONS})
    agent = replace(summing_agent(load), sources=(load.source, other))
    both = list(load.ledger.charges(12_000))
    await cluster.send(load.source, both[::2], partitions=PARTITIONS)
    await cluster.send(other, both[1::2], partitions=PARTITIONS)
    async with local_lane(load, agent) as lane:
        ids = {task.hold.transactor._id for task in lane.host.tasks() if task.hold is not None}
        await load.consumed()
        await _consumed(load, other)
        for to in "ab":
            await cluster.settled(f"{load.source}-{to}")
        ids |= {task.hold.transactor._id for task in lane.host.tasks() if task.hold is not None}
    assert ids == {f"{load.app_id}-{AGENT}-{number}" for number in range(PARTITIONS)}
    seen = [
        orjson.loads(record.value)["id"]
        for to in "ab"
        for record in await cluster.read(f"{load.source}-{to}")
    ]
    assert sorted(seen) == list(range(12_000))
    rows, offsets = await _table(load)
    assert rows == {member: [count, str(total)] for member, (count, total) in load.ledger.sums.items()}
    for topic in agent.sources:
        assert {number: each[topic] for number, each in offsets.items()} == await cluster.ends(topic)


async def _consumed(load: Load, topic: str) -> None:
    await replace(load, source=topic).consumed()


async def _table(load: Load) -> tuple[dict[str, Any], dict[int, dict[str, int]]]:
    """Return the rows, and the source offsets that each partition of them stands at."""
    rows, offsets = {}, {}
    await load.cluster.settled(f"{load.app_id}-{TABLE}-changelog")
    for record in await load.cluster.read(f"{load.app_id}-{TABLE}-changelog"):
        if record.key == OFFSETS_KEY:
            offsets[record.partition] = orjson.loads(record.value)
        else:
            rows[record.key.decode()] = orjson.loads(record.value)
    return rows, offsets


async def test_sources_with_different_partition_counts_are_refused(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Their records of one key would be on different workers: refused, with the counts and the way out."""
    load = await Load.prepared(cluster, unique, seed=7)
    other = unique("more-charges")
    await cluster.create({other: PARTITIONS + 1})
    agent = replace(summing_agent(load), sources=(load.source, other))
    with pytest.raises(Halted, match=rf"{load.source} has 4, {other} has 5: .*`app\.repartition\("):
        async with local_lane(load, agent):
            pass
