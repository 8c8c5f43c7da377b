"""Re-keying through a repartition topic, on real Kafka: two agents of one app, exact under kill -9."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING

import orjson
import pytest
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError
from fleet.lane.store import OFFSETS_KEY
from tests.support.lane_app import running_app
from tests.support.lane_fixtures import cluster, lane_settings, new_workers
from tests.support.lane_load import PARTITIONS, Load
from tests.support.polling import until
from tests.support.rekeying_worker import TABLE, day_of, new_app, topic_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.settings import Settings
    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

__all__ = ["cluster", "lane_settings", "new_workers"]

pytestmark = pytest.mark.stack

EVENTS = 40_000
LIMIT_S = 90.0


async def _sent(load: Load, count: int) -> dict[str, tuple[int, Decimal]]:
    """Write charges, and return what they come to by day."""
    charges = list(load.ledger.charges(count))
    await load.cluster.send(load.source, charges, partitions=PARTITIONS)
    days: dict[str, tuple[int, Decimal]] = {}
    for _, value in charges:
        event = orjson.loads(value)
        seen, total = days.get(day_of(event), (0, Decimal(0)))
        days[day_of(event)] = seen + 1, total + Decimal(event["charge"])
    return days


async def _rows(load: Load) -> dict[str, tuple[int, Decimal]]:
    changelog = f"{load.app_id}-{TABLE}-changelog"
    await load.cluster.settled(changelog)
    return {
        record.key.decode(): (row[0], Decimal(row[1]))
        for record in await load.cluster.read(changelog)
        if record.key != OFFSETS_KEY and (row := orjson.loads(record.value))
    }


async def _counted(load: Load, charges: int) -> None:
    """Wait until the second agent has summed so many charges."""

    async def so_many() -> bool:
        return sum([count for count, _ in (await _rows(load)).values()]) >= charges

    await until(so_many, LIMIT_S, f"{charges} charges counted", every_s=0.3)


async def test_sums_under_another_key_are_exact_when_workers_are_killed(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Both agents are killed outright amid the work, twice; each charge counts once under its new key."""
    load = await Load.prepared(cluster, unique, seed=20260110)
    wanted, rng = await _sent(load, EVENTS), random.Random(load.ledger.seed)
    workers = new_workers(load.app_id, load.source)
    workers.module = "tests.support.rekeying_worker"
    for first, last in ((0.05, 0.3), (0.4, 0.8)):
        worker = workers.start()
        await load.reached(int(EVENTS * rng.uniform(first, last)))
        worker.kill()
        assert not await load.is_consumed(), "killed too late to be amid the work"
    workers.start()
    await load.consumed()
    await _counted(load, EVENTS)
    assert await _rows(load) == wanted


async def test_what_was_read_is_deleted_and_nothing_else(
    cluster: Cluster, lane_settings: Settings, unique: Callable[[str], str]
) -> None:
    """The topic does not grow for ever; what is not committed yet stays, however long that takes."""
    load = await Load.prepared(cluster, unique, seed=11)
    topic = topic_of(load.app_id)
    async with running_app(load, lane_settings, new_app) as app:
        await _sent(load, 2000)
        await _counted(load, 2000)
        await app.lane.purge.run()
        committed = await cluster.committed(load.app_id, topic)
        assert await _begins(cluster, topic) == committed
        assert sum(committed.values()) > 2000
        await _sent(load, 1000)
        await _counted(load, 3000)
        assert await _begins(cluster, topic) == committed


async def _begins(cluster: Cluster, topic: str) -> dict[int, int]:
    async with cluster.reader() as reader:
        begins = await reader.beginning_offsets([TopicPartition(topic, number) for number in range(6)])
    return {tp.partition: offset for tp, offset in begins.items()}


async def test_another_number_of_partitions_is_refused(
    cluster: Cluster, lane_settings: Settings, unique: Callable[[str], str]
) -> None:
    """Keys would leave their state behind: the worker says so, and what to do, before it starts."""
    load = await Load.prepared(cluster, unique, seed=11)
    first = new_app(load.app_id, 6066, load.source, lane_settings)
    await first.lane.preflight()
    grown = new_app(load.app_id, 6066, load.source, lane_settings, partitions=7)
    with pytest.raises(FatalError, match=r"has 6 partitions, but the app says 7: keep 6, .* by a new name"):
        await grown.lane.preflight()
