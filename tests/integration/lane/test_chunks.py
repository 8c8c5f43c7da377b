"""What bounds a chunk, and the halt where most records would be dead letters, on a real broker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import REGISTRY

from fleet.errors import TransientError
from fleet.lane.dead_letter_limit import DeadLetterLimit
from fleet.lane.effects import Emit
from tests.support.lane_host import LIMIT_S, LocalLane, local_lane, summing_agent
from tests.support.lane_load import PARTITIONS, Load
from tests.support.lane_worker import AGENT
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.lane import Chunk, Effect, State
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLOW_S = 0.9
FETCH_BYTES = 64 * 1024


def fetched_ahead(lane: LocalLane) -> int:
    """Return the most fetches that wait in the client for one partition."""
    holds = [task.hold for task in lane.host.tasks() if task.hold is not None]
    return max((len(hold.reader._fetcher._records) for hold in holds), default=0)


async def test_a_slow_broker_holds_fetching_back(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 0.9 s a transaction commits advance; one chunk is in hand, one and a fetch wait, nothing more."""
    commit_transaction, seen = AIOKafkaProducer.commit_transaction, []
    load = await Load.prepared(cluster, unique, seed=4)
    await load.send(12_000)
    agent = replace(summing_agent(load), max_chunk_records=1000, max_fetch_bytes=FETCH_BYTES)
    async with local_lane(load, agent) as lane:

        async def slowly(producer: Any) -> None:
            await asyncio.sleep(SLOW_S)
            courses = [task._progress for task in lane.host.tasks()]
            in_hand = max(course.in_hand for course in courses)
            seen.append((fetched_ahead(lane), in_hand, max(course.waiting for course in courses)))
            await commit_transaction(producer)

        monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", slowly)
        await load.consumed()
    assert len(seen) > 2 * PARTITIONS
    assert max(fetches for fetches, _, _ in seen) == 1
    assert 0 < max(in_hand for _, in_hand, _ in seen) <= 1000
    assert 0 < max(waiting for _, _, waiting in seen) <= 1000
    await load.check()


async def test_results_do_not_depend_on_cuts_by_bytes(cluster: Cluster, unique: Callable[[str], str]) -> None:
    """With a bound of a few records' outputs, chunks are cut in halves until they fit; all is exact."""
    load = await Load.prepared(cluster, unique, seed=4, poison_share=0.02)
    await load.send(1500)
    async with local_lane(load, replace(summing_agent(load), max_chunk_bytes=3000)):
        await load.consumed()
    transactions = sum(sample("transactions_total", str(number)) for number in range(PARTITIONS))
    assert transactions > 1500 / 30
    await load.check()


def sample(name: str, partition: str, **labels: str) -> float:
    """Return a metric of a partition; 0 where it has none."""
    wanted = {"agent": AGENT, "partition": partition, **labels}
    return REGISTRY.get_sample_value(f"fleet_lane_{name}", wanted) or 0.0


async def test_mostly_dead_letters_halt_the_task_and_it_goes_on_when_they_pass(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """A broken agent does not empty its source into the dead letters; mended, it processes them all."""
    load = await Load.prepared(cluster, unique, seed=4)
    await load.send(4000)
    total, broken = summing_agent(load).process, [True]

    def process(chunk: Chunk, state: State) -> Iterator[Effect]:
        if broken and state.partition == 2:
            raise ZeroDivisionError
        yield from total(chunk, state)

    limit = DeadLetterLimit(share=0.5, records=100)
    agent = replace(summing_agent(load), process=process, dead_letter_limit=limit)
    async with local_lane(load, agent, halted_retry_s=0.1) as lane:
        await lane.becomes({0: "running", 1: "running", 2: "halted", 3: "running"})
        reason = lane.task(2).reason
        assert (
            "of the last 100 records would be dead letters, most by process_error in step process" in reason
        )
        assert sample("halted", "2", cause="dead_letters/process/process_error") == 1
        asked = lane.member.asked

        async def tried() -> bool:
            return lane.member.asked >= asked + 3

        await until(tried, LIMIT_S, "three more tries")
        assert lane.statuses()[2] == "halted"
        assert len(await cluster.read(f"{load.source}-dead")) <= 50
        broken.clear()
        await load.consumed()
        await lane.becomes({2: "running"})
        assert sample("halted", "2", cause="dead_letters/process/process_error") == 0
    await load.check()


async def test_a_transient_error_pauses_its_partition_alone(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """The others go on; a rebalance amid the pause changes nothing; then it goes on where it was."""
    load = await Load.prepared(cluster, unique, seed=4)
    total, away = summing_agent(load).process, [True]

    def process(chunk: Chunk, state: State) -> Iterator[Effect]:
        if away and state.partition == 1:
            raise TransientError("the registry is away")
        yield from total(chunk, state)

    pauses = sample("pauses_total", "1")
    async with local_lane(load, replace(summing_agent(load), process=process)) as lane:
        await load.send(2000)
        await lane.becomes({0: "running", 1: "paused", 2: "running", 3: "running"})
        hold = lane.task(1).hold
        await load.reached(1000)
        assert lane.task(1).lag() > 0
        await lane.host.revoked()
        lane.assign(range(PARTITIONS))
        assert lane.task(1).hold is hold
        assert lane.statuses()[1] == "paused"
        away.clear()
        await load.consumed()
        await lane.becomes({1: "running"})
        assert lane.task(1).hold is hold
    assert sample("pauses_total", "1") > pauses
    await load.check()


async def test_an_output_of_wrong_type_does_not_stop_its_partition(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """A text in place of bytes, or a topic that no Kafka can have, costs the record that caused it."""
    load = await Load.prepared(cluster, unique, seed=4)
    await load.send(40)
    wrong: list[Any] = [
        {"topic": f"{load.source}-a", "value": "text"},
        {"topic": "no such/topic", "value": b""},
    ]

    def process(chunk: Chunk, state: State) -> Iterator[Effect]:
        del state
        for record in chunk:
            yield Emit(key=record.key, cause=record, **wrong[record.offset % 2])

    async with local_lane(load, replace(summing_agent(load), process=process)):
        await load.consumed()
    assert len(await cluster.read(f"{load.source}-dead")) == 40
