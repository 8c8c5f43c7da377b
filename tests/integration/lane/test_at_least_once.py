"""At least once, on a real broker and in a real group: nothing is lost, and outputs are seen at once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from aiokafka.structs import TopicPartition

from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster
    from tests.support.lane_processes import Workers

pytestmark = pytest.mark.stack

EVENTS = 20_000
PARTITIONS = 4
LIMIT_S = 90.0


async def routing_workers(cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]) -> Workers:
    """Return starters of the worker that routes at least once, with topics of its own."""
    app_id, source = unique("app"), unique("routed")
    await cluster.create({source: PARTITIONS, f"{source}-out": PARTITIONS, f"{source}-dead": 1})
    workers = new_workers(app_id, source)
    workers.module = "tests.support.lane_routing_worker"
    return workers


async def test_kills_and_a_stale_owner_lose_nothing(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """A worker stopped past its session, another killed; every event is there, and offsets never go back."""
    workers = await routing_workers(cluster, new_workers, unique)
    app_id, source = workers.app_id, workers.source
    events = [(b"%d" % (number % 97), b"%d" % number) for number in range(EVENTS)]
    await cluster.send(source, events, partitions=PARTITIONS)
    seen: dict[int, int] = {}

    async def committed(events: int) -> bool:
        offsets = await cluster.committed(app_id, source)
        assert all(offset >= seen.get(number, 0) for number, offset in offsets.items()), "an offset went back"
        seen.update(offsets)
        return sum(offsets.values()) >= events

    stale = workers.start()
    await until(lambda: committed(EVENTS // 10), LIMIT_S, "a tenth")
    stale.signal(signal.SIGSTOP)
    killed = workers.start()
    await until(lambda: committed(EVENTS // 2), LIMIT_S, "a half")
    killed.kill()
    stale.signal(signal.SIGCONT)
    workers.start()
    await until(lambda: committed(EVENTS), LIMIT_S, "all")
    found = [record.value for record in await cluster.read(f"{source}-out", committed=False)]
    assert set(found) == {value for _, value in events}
    assert len(found) < EVENTS * 1.5


async def test_a_commit_by_no_owner_is_refused(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """While the group has members, nobody else moves its offsets: the agent's are a member's commits."""
    workers = await routing_workers(cluster, new_workers, unique)
    app_id, source = workers.app_id, workers.source
    await workers.all_ready(1)
    await cluster.send(source, [(b"k", b"v")] * 10, partitions=PARTITIONS)
    await until(lambda: cluster.consumed(app_id, source), LIMIT_S, "all consumed")
    with pytest.raises(Exception, match=r"rebalanced|UnknownMember"):
        await cluster.reset(app_id, {TopicPartition(source, 0): 0})
