"""Trap 9: group offsets expire, are reset by hand, or retention passes them, and state stays as it was.

Going on from either would apply events twice or skip them: the partition halts, the others go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from tests.support.lane_host import local_lane
from tests.support.lane_load import Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack


async def _run_once(load: Load) -> None:
    """Process a first part of the load, and stop."""
    await load.send(2000)
    async with local_lane(load):
        await load.consumed()


async def _outputs(load: Load) -> int:
    return sum([len(await load.cluster.read(f"{load.source}-{to}")) for to in "ab"])


async def test_the_client_alone_jumps_over_what_was_deleted(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """With the usual policy a committed offset that Kafka no longer has is replaced without an error."""
    source = unique("source")
    await cluster.create({source: 1})
    await cluster.send(source, [(b"key", b"%d" % number) for number in range(20)], partitions=1)
    tp = TopicPartition(source, 0)
    async with cluster.admin() as admin:
        await admin.delete_records({tp: RecordsToDelete(before_offset=10)})
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=cluster.servers,
        group_id=unique("group"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        consumer.assign([tp])
        await consumer.commit({tp: 5})
        assert (await consumer.getone(tp)).offset == 10
    finally:
        await consumer.stop()


@pytest.mark.parametrize("moved_by", [-1, +1, None], ids=["one back", "one ahead", "to the beginning"])
async def test_a_group_offset_moved_by_hand_halts_its_partition_alone(
    cluster: Cluster, unique: Callable[[str], str], moved_by: int | None
) -> None:
    """It says where both stand and what to do; nothing is processed twice or skipped."""
    load = await Load.prepared(cluster, unique, seed=9)
    await _run_once(load)
    stood_at = (await cluster.committed(load.app_id, load.source))[1]
    moved_to = 0 if moved_by is None else stood_at + moved_by
    await _commit(load, TopicPartition(load.source, 1), moved_to)
    before = await _outputs(load)
    async with local_lane(load) as lane:
        await lane.becomes({0: "running", 1: "halted", 2: "running", 3: "running"})
        (reason,) = lane.host.unready()
        assert f"stands at offset {stood_at} of {load.source}/1, the group at {moved_to}" in reason
        assert "eventfleet state" in reason
        assert await _outputs(load) == before
        await _commit(load, TopicPartition(load.source, 1), stood_at)
    async with local_lane(load):
        await load.send(1000)
        await load.consumed()
    await load.check()


async def test_records_deleted_before_they_were_processed_halt_the_partition(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Retention has passed the group: the gap is a loss that a person has to know of."""
    load = await Load.prepared(cluster, unique, seed=9)
    await _run_once(load)
    await load.send(2000)
    end = (await cluster.ends(load.source))[3]
    async with cluster.admin() as admin:
        await admin.delete_records({TopicPartition(load.source, 3): RecordsToDelete(before_offset=end)})
    async with local_lane(load) as lane:
        await lane.becomes({0: "running", 1: "running", 2: "running", 3: "halted"})
        assert f"to {end - 1} were deleted before they were processed" in lane.task(3).reason


async def test_a_changelog_emptied_by_hand_halts_the_partition(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Sums do not begin anew from nothing while the group goes on."""
    load = await Load.prepared(cluster, unique, seed=9)
    await _run_once(load)
    changelog = f"{load.app_id}-sums-changelog"
    async with cluster.admin() as admin:
        await admin.delete_topics([changelog])
    async with local_lane(load) as lane:
        await lane.becomes(dict.fromkeys(range(4), "halted"))
        assert "table sums stands at offset None" in lane.task(0).reason


async def _commit(load: Load, tp: TopicPartition, offset: int) -> None:
    """Move the group's offset, as an operator does while the group is empty."""
    operator: Any = AIOKafkaConsumer(
        bootstrap_servers=load.cluster.servers, group_id=load.app_id, enable_auto_commit=False
    )
    await operator.start()
    try:
        operator.assign([tp])
        await operator.commit({tp: offset})
    finally:
        await operator.stop()
