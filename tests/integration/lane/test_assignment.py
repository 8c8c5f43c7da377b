"""Workers join and leave a real group: a partition that stays keeps its task, its hold and its state."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_app import running_app
from tests.support.lane_load import LIMIT_S, PARTITIONS, Load
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.lane import LaneApp
    from fleet.lane.acquire import Hold
    from fleet.settings import Settings
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack


def holds(app: LaneApp) -> dict[int, Hold]:
    """Return the holds of the app's running tasks by partition."""
    return {task.partition: task.hold for task in app.lane.host.tasks() if task.hold is not None}


async def shared(*apps: LaneApp) -> list[dict[int, Hold]]:
    """Wait until all partitions run, evenly shared between `apps`; return the holds of each."""

    async def evenly() -> bool:
        sizes = [len(holds(app)) for app in apps]
        return (
            all(not app.lane.host.unready() for app in apps)
            and sorted(partition for app in apps for partition in holds(app)) == list(range(PARTITIONS))
            and max(sizes) - min(sizes) <= 1
        )

    await until(evenly, LIMIT_S, f"all partitions shared between {len(apps)} workers")
    return [holds(app) for app in apps]


def kept(before: dict[int, Hold], after: dict[int, Hold]) -> set[int]:
    """Return the partitions that are there before and after, on the very same hold."""
    return {partition for partition, hold in after.items() if before.get(partition) is hold}


async def test_one_two_three_workers_and_back(
    cluster: Cluster, lane_settings: Settings, unique: Callable[[str], str]
) -> None:
    """Who stays loses no more than balance asks for, and acquires nothing again that it keeps."""
    load = await Load.prepared(cluster, unique, seed=31)
    await load.send(2000)
    async with AsyncExitStack() as first_of_all, AsyncExitStack() as others:
        one = await first_of_all.enter_async_context(running_app(load, lane_settings))
        (alone,) = await shared(one)
        two = await others.enter_async_context(running_app(load, lane_settings))
        await load.send(500)
        halves = await shared(one, two)
        assert kept(alone, halves[0]) == set(halves[0])
        await load.consumed()
        async with running_app(load, lane_settings) as three:
            await load.send(500)
            thirds = await shared(one, two, three)
            assert [kept(halves[place], thirds[place]) for place in (0, 1)] == [
                set(thirds[0]),
                set(thirds[1]),
            ]
            assert len(thirds[2]) == 1
            await load.consumed()
        await load.send(500)
        again = await shared(one, two)
        assert [kept(thirds[place], again[place]) for place in (0, 1)] == [set(thirds[0]), set(thirds[1])]
        await load.consumed()
        await others.aclose()
        await load.send(500)
        (last,) = await shared(one)
        assert kept(again[0], last) == set(again[0])
        await load.consumed()
    await load.check()
