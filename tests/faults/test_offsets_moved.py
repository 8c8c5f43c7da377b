"""Offsets moved or lost behind the workers' backs: they halt, and go on exactly once a person decided."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from fleet.cli.state import APPS
from fleet.cli.state import app as state_commands
from tests.support.commands import invoke
from tests.support.lane_ledger import Ledger
from tests.support.lane_load import EVENTS, LIMIT_S, PARTITIONS, Load
from tests.support.lane_worker import new_app
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster
    from tests.support.lane_processes import Worker, Workers

pytestmark = pytest.mark.stack

SLICE = EVENTS // 20
FETCH_ENDS_S = 2.0
"""A fetch that is on its way when its worker is stopped has come back empty after this."""


async def halted(worker: Worker, partitions: int) -> list[str]:
    """Wait until so many partitions have halted; return why they did."""

    async def reasons() -> list[str]:
        found = [task["reason"] for task in await worker.tasks() if task["status"] == "halted"]
        return found if len(found) == partitions else []

    return await until(reasons, LIMIT_S, f"{partitions} partitions halted")


async def nobody_left(cluster: Cluster, group: str) -> None:
    """Wait until the group has no members: a killed one counts until its session ends."""

    async def empty() -> bool:
        async with cluster.admin() as admin:
            (answer,) = await admin.describe_consumer_groups([group])
        return not answer.groups[0][-2]

    await until(empty, LIMIT_S, "no member left")


async def rewound(cluster: Cluster, load: Load) -> None:
    """Set the group back to offset 2 of each partition, as an operator's tool does."""
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=cluster.servers, group_id=load.app_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        at = {TopicPartition(load.source, partition): 2 for partition in range(PARTITIONS)}
        consumer.assign(list(at))
        await consumer.commit(at)
    finally:
        await consumer.stop()


async def decided(workers: Workers, command: str, partition: int) -> None:
    """Run ``eventfleet state`` for one partition, as a person who agrees."""
    arguments = (command, workers.app_id, "--partition", str(partition), "--yes")
    result = await asyncio.to_thread(invoke, state_commands, workers.settings, *arguments)
    assert result.exit_code == 0, result.stderr


async def test_a_group_rewound_after_a_kill_fails_closed_and_stays_exact(
    cluster: Cluster,
    new_workers: NewWorkers,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed amid the work and set back: every partition halts; after `state adopt` each sum is exact."""
    load = await Load.prepared(cluster, unique, seed=20260150, poison_share=0.01)
    workers = new_workers(load.app_id, load.source)
    monkeypatch.setitem(APPS, load.app_id, lambda: new_app(load.app_id, 6066, load.source))
    await load.send(SLICE)
    worker = workers.start()
    await load.reached(SLICE // 10)
    worker.kill()
    await nobody_left(cluster, load.app_id)
    await rewound(cluster, load)

    worker = workers.start()
    assert all("the group at 2" in reason for reason in await halted(worker, PARTITIONS))
    assert await load.committed() == 2 * PARTITIONS
    worker.signal(signal.SIGTERM)
    assert await worker.ended(LIMIT_S) == 0

    for partition in range(PARTITIONS):
        await decided(workers, "adopt", partition)
    await load.live([workers.start()], "adopting the tables' offsets")
    await load.consumed()
    await load.check()


async def test_a_retention_that_passes_a_running_worker_fails_closed(
    cluster: Cluster,
    new_workers: NewWorkers,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Records deleted while a worker sleeps: it halts, and after `state skip` only they are missing."""
    load = await Load.prepared(cluster, unique, seed=20260151)
    workers = new_workers(load.app_id, load.source)
    monkeypatch.setitem(APPS, load.app_id, lambda: new_app(load.app_id, 6066, load.source))
    worker = workers.start()
    await load.live([worker], "the start")
    await load.consumed()
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(FETCH_ENDS_S)
    stood_at = await load.committed_at()
    lost = Ledger(seed=-1)
    await cluster.send(load.source, lost.charges(50), partitions=PARTITIONS, at=0)
    async with cluster.admin() as admin:
        tp = TopicPartition(load.source, 0)
        await admin.delete_records({tp: RecordsToDelete(stood_at[0] + 50)})
    await load.send(SLICE)
    worker.signal(signal.SIGCONT)

    (reason,) = await halted(worker, 1)
    assert "were deleted before" in reason or "no longer has the next offset" in reason
    assert (await load.committed_at())[0] == stood_at[0]
    await decided(workers, "skip", 0)
    await load.live([worker], "skipping what was lost")
    await load.consumed()
    await load.check()
