"""An agent follows topics that its config names: they come and go while it runs, each record once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest
from aiokafka.admin import NewPartitions

from fleet.lane import Emit, Follow, LaneAgent
from fleet.lane.errors import Lost
from fleet.lane.following import slot_of
from tests.support.lane_host import local_lane
from tests.support.lane_load import LIMIT_S, PARTITIONS, Load
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.lane import Chunk, Effect, State
    from tests.support.lane_host import LocalLane
    from tests.support.lane_kafka import Cluster

Start: TypeAlias = Literal["earliest", "latest"] | int

pytestmark = pytest.mark.stack

RUNNING = dict.fromkeys(range(PARTITIONS), "running")


class Followed:
    """Topics to follow, and what is written to them.

    Attributes:
        wanted: What the agent is to follow.
        sent: Every record, as its output names it.
    """

    def __init__(self, load: Load, topics: list[str]) -> None:
        self.wanted: tuple[Follow, ...] = ()
        self.sent: list[str] = []
        self.topics = topics
        self._load = load

    def follow(self, *topics: str, start: Start = "earliest", token: str = "") -> None:
        """Follow these topics, and no others."""
        self.wanted = tuple(Follow(topic, start, token=token) for topic in topics)

    def agent(self) -> LaneAgent:
        """Return an agent that tells of each record where it was."""

        def process(chunk: Chunk, state: State) -> Iterator[Effect]:
            del state
            for record in chunk:
                where = f"{record.topic}/{record.partition}/{record.offset}"
                yield Emit(f"{self._load.source}-a", record.topic.encode(), where.encode(), cause=record)

        return LaneAgent(
            name="follower",
            sources=(self._load.source,),
            follows=lambda _state: self.wanted,
            process=process,
            dead_letters=f"{self._load.source}-dead",
            dead_letter_limit=None,
        )

    async def send(self, topic: str, partitions: int, count: int) -> None:
        """Write `count` records to each of so many partitions of a topic."""
        async with self._load.cluster.producer() as producer:
            for _ in range(count):
                for partition in range(partitions):
                    done = await producer.send_and_wait(topic, b"x", partition=partition)
                    self.sent.append(f"{done.topic}/{done.partition}/{done.offset}")

    async def outputs(self) -> list[str]:
        """Return all outputs."""
        found = await self._load.cluster.read(f"{self._load.source}-a")
        return [(record.value or b"").decode() for record in found]

    async def all_told(self) -> None:
        """Wait until there are as many outputs as records, and check that they are those, in order."""

        async def told() -> list[str]:
            found = await self.outputs()
            return found if len(found) >= len(self.sent) else []

        found = await until(told, LIMIT_S, f"{len(self.sent)} outputs")
        assert Counter(found) == Counter(self.sent)
        for place in {each.rpartition("/")[0] for each in found}:
            offsets = [int(each.rpartition("/")[2]) for each in found if each.rpartition("/")[0] == place]
            assert offsets == sorted(offsets)


@pytest.fixture
async def followed(cluster: Cluster, unique: Callable[[str], str]) -> Followed:
    """Two topics to follow, of 3 and 5 partitions, and a slots topic without records."""
    load = await Load.prepared(cluster, unique, seed=1)
    topics = [unique("one"), unique("other")]
    await cluster.create({topics[0]: 3, topics[1]: 5})
    return Followed(load, topics)


async def test_topics_come_and_go_and_each_record_is_processed_once(followed: Followed) -> None:
    """What config names is read by the tasks that run already, all partitions, and forgotten afterwards."""
    one, other = followed.topics
    async with local_lane(followed._load, followed.agent()) as lane:
        await lane.becomes(RUNNING)
        holds = [lane.task(number).hold for number in range(PARTITIONS)]
        await followed.send(one, 3, 5)
        followed.follow(one)
        await followed.all_told()
        followed.follow(one, other)
        await followed.send(other, 5, 5)
        await followed.send(one, 3, 5)
        await followed.all_told()
        followed.follow(other)
        await until(lambda: _read(lane, {other: 5}), LIMIT_S, "the other topic alone")
        told = len(await followed.outputs())
        unread = Followed(followed._load, followed.topics)
        await unread.send(one, 3, 2)
        await followed.send(other, 5, 2)
        await followed.all_told()
        assert len(await followed.outputs()) == told + 10
        followed.follow(one, other, start="latest")
        await until(lambda: _read(lane, {one: 3, other: 5}), LIMIT_S, "both again")
        await followed.send(one, 3, 1)
        await followed.all_told()
        assert [lane.task(number).hold for number in range(PARTITIONS)] == holds


async def _read(lane: LocalLane, topics: dict[str, int]) -> bool:
    """Return whether the tasks together follow all partitions of these topics, and nothing else."""
    found: list[tuple[str, int]] = []
    for number in range(PARTITIONS):
        hold = lane.task(number).hold
        if hold is None or hold.following is None:
            return False
        found += hold.following.next
    return set(found) == {(topic, number) for topic, count in topics.items() for number in range(count)}


async def test_a_lost_task_goes_on_where_its_last_transaction_ended(followed: Followed) -> None:
    """Discarded and acquired again, and again after a restart: nothing is left out or done twice."""
    one, _ = followed.topics
    followed.follow(one)
    for _ in range(2):
        async with local_lane(followed._load, followed.agent()) as lane:
            await lane.becomes(RUNNING)
            for _ in range(3):
                await followed.send(one, 3, 20)
                for number in range(PARTITIONS):
                    lane.task(number).end(Lost("a test"))
                await followed.send(one, 3, 20)
            await followed.all_told()


async def test_a_topic_may_be_followed_from_its_end(followed: Followed) -> None:
    """What was written before is not read."""
    one, _ = followed.topics
    unread = Followed(followed._load, followed.topics)
    await unread.send(one, 3, 3)
    async with local_lane(followed._load, followed.agent()) as lane:
        await lane.becomes(RUNNING)
        followed.follow(one, start="latest")
        await until(lambda: _read(lane, {one: 3}), LIMIT_S, "the topic followed")
        await followed.send(one, 3, 3)
        await followed.all_told()


async def test_a_topic_that_comes_later_is_followed_then(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, unique: Callable[[str], str]
) -> None:
    """Config may name a topic before it is made, and partitions may be added to it."""
    monkeypatch.setattr("fleet.lane.following.LOOK_EVERY_S", 0.2)
    later = unique("later")
    async with local_lane(followed._load, followed.agent()) as lane:
        await lane.becomes(RUNNING)
        followed.follow(later)
        await followed._load.cluster.create({later: 2})
        await followed.send(later, 2, 3)
        await followed.all_told()
        async with followed._load.cluster.admin() as admin:
            await admin.create_partitions({later: NewPartitions(4)})
        await followed.send(later, 4, 3)
        await followed.all_told()


def test_partitions_are_spread_over_slots() -> None:
    """Each slot has its share of a topic, and a partition never moves to another."""
    slots = Counter(slot_of("canonical.claim", partition, 6) for partition in range(12))
    assert slots == dict.fromkeys(range(6), 2)
    assert slot_of("canonical.claim", 0, 6) == 2
