"""An agent follows topics that its config names: they come and go while it runs, each record once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest
from aiokafka.admin import NewPartitions, RecordsToDelete
from aiokafka.structs import TopicPartition

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


async def test_where_to_begin_is_found_once(followed: Followed) -> None:
    """The end of a topic is where it was when first followed, though no record came before a restart."""
    one, _ = followed.topics
    followed.follow(one, start="latest")
    async with local_lane(followed._load, followed.agent()) as lane:
        await lane.becomes(RUNNING)
        await until(lambda: _rows(lane, one, 3), LIMIT_S, "the positions committed")
    await followed.send(one, 3, 2)
    async with local_lane(followed._load, followed.agent()) as lane:
        await followed.all_told()
        followed.follow()
        await until(lambda: _rows(lane, one, 0), LIMIT_S, "the positions forgotten")


async def _rows(lane: LocalLane, topic: str, partitions: int) -> bool:
    """Return whether the rows of all tasks are of so many partitions of a topic."""
    holds = [lane.task(number).hold for number in range(PARTITIONS)]
    keys = {key for hold in holds if hold for key, _ in hold.tables["follower-positions"].items()}
    wanted = {f"{topic}/{number}" for number in range(partitions)}
    return all(holds) and keys - {f"{topic}/*"} == wanted


async def test_new_partitions_are_read_whole_by_who_began_at_the_end(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, unique: Callable[[str], str]
) -> None:
    """All that they hold came after the topic was followed."""
    monkeypatch.setattr("fleet.lane.following.LOOK_EVERY_S", 0.2)
    later = unique("later")
    followed.follow(later, start="latest")
    async with local_lane(followed._load, followed.agent()) as lane:
        await lane.becomes(RUNNING)
        await until(lambda: _counted(lane, later), LIMIT_S, "the topic is known to be missing")
        monkeypatch.setattr("fleet.lane.following.LOOK_EVERY_S", 2.0)
        await followed._load.cluster.create({later: 2})
        await followed.send(later, 2, 3)
        await followed.all_told()


async def _counted(lane: LocalLane, topic: str) -> bool:
    holds = [lane.task(number).hold for number in range(PARTITIONS)]
    return all(hold and hold.tables["follower-positions"].get(f"{topic}/*") == 0 for hold in holds)


async def test_records_that_retention_took_halt_the_task(followed: Followed) -> None:
    """It says which are lost, and goes on once the topic is followed anew."""
    one, _ = followed.topics
    followed.follow(one)
    async with local_lane(followed._load, followed.agent()):
        await followed.send(one, 1, 3)
        await followed.all_told()
    unread = Followed(followed._load, followed.topics)
    await unread.send(one, 1, 4)
    async with followed._load.cluster.admin() as admin:
        await admin.delete_records({TopicPartition(one, 0): RecordsToDelete(before_offset=5)})
    slot = slot_of(one, 0, PARTITIONS)
    async with local_lane(followed._load, followed.agent(), halted_retry_s=0.2) as lane:
        await lane.becomes({slot: "halted"})
        assert f"{one}/0: offsets 3 to 4 were deleted before they were processed" in lane.task(slot).reason
        followed.follow(one, token="anew")  # noqa: S106 - no password
        followed.sent += unread.sent[2:]
        await followed.all_told()
        await lane.becomes({slot: "running"})
        assert lane.host.describe()[slot]["next"][f"{one}/0"] == 7


def test_partitions_are_spread_over_slots() -> None:
    """Each slot has its share of a topic, and a partition never moves to another."""
    slots = Counter(slot_of("canonical.claim", partition, 6) for partition in range(12))
    assert slots == dict.fromkeys(range(6), 2)
    assert slot_of("canonical.claim", 0, 6) == 2
