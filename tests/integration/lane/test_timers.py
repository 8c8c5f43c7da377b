"""Timers outlive their worker, on a real broker: set by one that is killed, fired once by the next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
import pytest

from fleet.lane import SetTimer
from fleet.lane.agent import LaneAgent
from tests.support.lane_host import local_lane
from tests.support.lane_load import Load
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.lane import Chunk, Effect, State, Timer
    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

TIMERS = 200
LIMIT_S = 60.0


async def test_timers_set_by_a_killed_worker_fire_once_in_the_next(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Kill -9 between set and fire, and again once some fired; wall timers fire though no record comes."""
    app_id, source = unique("app"), unique("clock")
    await cluster.create({source: 1, f"{source}-fired": 1, f"{source}-dead": 1})
    workers = new_workers(app_id, source)
    workers.module = "tests.support.lane_timer_worker"
    worker = workers.start()
    wall_ms = int(time.time() * 1000) + 15_000
    names = [f"t{number:03d}" for number in range(TIMERS)]
    asked = [{"name": name, "at": at, "event": 5000 + at, "wall": wall_ms} for at, name in enumerate(names)]
    await cluster.send(source, [(b"k", orjson.dumps(each)) for each in asked], partitions=1)

    async def consumed() -> bool:
        return await cluster.consumed(app_id, source)

    await until(consumed, LIMIT_S, "all timers set")
    worker.kill()
    assert "event" not in [each[0] for each in await fired(cluster, source)], "fired before the kill"

    await cluster.send(source, [(b"k", orjson.dumps({"name": "x", "at": 9000}))], partitions=1)
    worker = workers.start()

    async def some() -> bool:
        return bool(await fired(cluster, source))

    await until(some, LIMIT_S, "a timer fired")
    worker.kill()
    workers.start()

    async def all_of_them() -> bool:
        return len(await fired(cluster, source)) >= 2 * TIMERS

    await until(all_of_them, LIMIT_S, "all timers fired", every_s=0.5)
    seen = await fired(cluster, source)
    assert [each for each in seen if each[0] == "event"] == [
        ["event", name, 5000 + at, at] for at, name in enumerate(names)
    ]
    assert [each for each in seen if each[0] == "wall"] == [
        ["wall", name, wall_ms, at] for at, name in enumerate(names)
    ]
    assert await cluster.read(f"{source}-dead") == []


async def test_timers_that_set_each_other_for_what_has_passed_keep_no_record_waiting(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """One of each clock, for ever: they fire by turns with the records, which are all processed."""
    load = await Load.prepared(cluster, unique, seed=3)
    fired_in_all = 0

    def process(chunk: Chunk, state: State) -> Iterator[Effect]:
        del state
        for record in chunk:
            yield SetTimer("ping", record.timestamp - 1, "event")

    def on_timer(timer: Timer, state: State) -> Iterator[Effect]:
        nonlocal fired_in_all
        del state
        fired_in_all += 1
        yield SetTimer("ping", timer.at_ms, "wall" if timer.domain == "event" else "event")

    agent = LaneAgent(
        name="clock",
        sources=(load.source,),
        process=process,
        on_timer=on_timer,
        event_time=lambda record: record.timestamp,
        dead_letters=f"{load.source}-dead",
    )
    async with local_lane(load, agent):
        for _ in range(3):
            await load.send(200)
            await load.consumed()
            before = fired_in_all

            async def goes_on(before: int = before) -> bool:
                return fired_in_all > before + 10

            await until(goes_on, LIMIT_S, "timers go on firing")
    assert await cluster.read(f"{load.source}-dead") == []


async def fired(cluster: Cluster, source: str) -> list[list[object]]:
    """Return the timers that fired, as read_committed readers see them."""
    return [orjson.loads(record.value) for record in await cluster.read(f"{source}-fired")]
