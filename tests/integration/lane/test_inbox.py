"""Dead letters come back through the agent's inbox, at the position where they were first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fleet.errors import FatalError
from fleet.lane import Emit, LaneAgent, Put
from fleet.lane.dead_letters import reason_of
from tests.support.lane_host import LocalLane, local_lane
from tests.support.lane_load import LIMIT_S, PARTITIONS, Load
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiokafka import ConsumerRecord

    from fleet.lane import Chunk, Effect, State
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

TABLE = "seen"
PARTITION = 2


def agent_of(load: Load) -> LaneAgent:
    """Return an agent that counts records and tells where each was; ``bad`` ones it refuses."""

    def process(chunk: Chunk, state: State) -> Iterator[Effect]:
        for record in chunk:
            if record.value == b"bad":
                raise ValueError(record.value)
            where = f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp}"
            yield Emit(f"{load.source}-a", record.key, where.encode(), tuple(record.headers), cause=record)
            yield Put(TABLE, "count", state.get(TABLE, "count", 0) + 1)

    inbox = f"{load.source}-inbox"
    return LaneAgent(
        name="where",
        sources=(load.source, inbox),
        inbox=inbox,
        process=process,
        tables=(TABLE,),
        dead_letters=f"{load.source}-dead",
        dead_letter_limit=None,
    )


@pytest.fixture
async def load(cluster: Cluster, unique: Callable[[str], str]) -> Load:
    """A source with an inbox, empty."""
    made = await Load.prepared(cluster, unique, seed=1)
    await cluster.create({f"{made.source}-inbox": PARTITIONS})
    return made


async def bad_record(load: Load) -> ConsumerRecord:
    """Write a record that the agent refuses, and return its dead letter."""
    async with load.cluster.producer() as producer:
        await producer.send_and_wait(
            load.source, b"bad", key=b"k", partition=PARTITION, headers=[("ce_id", b"1")]
        )
    return await letter_number(load, 1)


async def letter_number(load: Load, count: int) -> ConsumerRecord:
    """Wait for so many dead letters and return the last one."""

    async def there() -> list[ConsumerRecord]:
        found = await load.cluster.read(f"{load.source}-dead")
        return found if len(found) == count else []

    return (await until(there, LIMIT_S, f"{count} dead letters"))[-1]


async def redrive(load: Load, letter: ConsumerRecord, value: bytes, attempt: int) -> None:
    """Send a dead letter, with another value, to the inbox, as the platform does."""
    headers = [each for each in letter.headers if each[0] != "fleet_dl_attempt"]
    headers.append(("fleet_dl_attempt", b"%d" % attempt))
    async with (
        load.cluster.producer(transactional_id=f"{load.app_id}-redrive") as producer,
        producer.transaction(),
    ):
        await producer.send_and_wait(
            f"{load.source}-inbox", value, key=letter.key, partition=PARTITION, headers=headers
        )


async def output(load: Load) -> ConsumerRecord:
    """Wait for the one output."""

    async def there() -> list[ConsumerRecord]:
        return await load.cluster.read(f"{load.source}-a")

    (found,) = await until(there, LIMIT_S, "an output")
    return found


def inbox_of(lane: LocalLane) -> Any:
    """Return whether the reader of the task passes its inbox over, and what it knows of it."""
    hold = lane.task(PARTITION).hold
    assert hold is not None
    assert hold.inbox is not None
    return hold.inbox.tp in hold.reader.paused(), hold.inbox.end


async def test_a_redriven_record_is_processed_as_if_read_at_its_first_position(load: Load) -> None:
    """Topic, partition, offset, time and headers are those of the source, so derived ids are the same."""
    async with local_lane(load, agent_of(load)) as lane:
        await lane.becomes(dict.fromkeys(range(PARTITIONS), "running"))
        letter = await bad_record(load)
        why = reason_of(letter.headers)
        await redrive(load, letter, b"good", attempt=2)
        found = await output(load)
        assert found.value.decode() == f"{load.source}/{PARTITION}/0/{why['timestamp']}"
        assert found.headers == (("ce_id", b"1"),)
        hold = lane.task(PARTITION).hold
        assert hold is not None

        async def done() -> bool:
            return hold.lag() == 0

        await until(done, LIMIT_S, "the inbox read to its end")
        assert hold.tables[TABLE].get("count") == 1
    async with local_lane(load, agent_of(load)) as lane:
        await lane.becomes({PARTITION: "running"})
    assert len(await load.cluster.read(f"{load.source}-a")) == 1


async def test_one_that_fails_again_keeps_its_first_position_and_counts(load: Load) -> None:
    """The second dead letter names the source, not the inbox, and its second attempt."""
    async with local_lane(load, agent_of(load)):
        first = await bad_record(load)
        await redrive(load, first, b"bad", attempt=2)
        second = await letter_number(load, 2)
    names = ("topic", "partition", "offset", "timestamp", "reason", "agent")
    assert [reason_of(second.headers)[name] for name in names] == [
        reason_of(first.headers)[name] for name in names
    ]
    assert (reason_of(first.headers)["attempt"], reason_of(second.headers)["attempt"]) == ("1", "2")
    assert len(second.headers) == len(first.headers)


async def test_an_empty_inbox_is_not_asked_for(load: Load) -> None:
    """A fetch of it would wait, and hold up the busy sources of the same broker meanwhile."""
    async with local_lane(load, agent_of(load)) as lane:
        letter = await bad_record(load)
        assert inbox_of(lane) == (True, 0)
        await redrive(load, letter, b"good", attempt=2)
        await output(load)

        async def passed_over_again() -> bool:
            return bool(inbox_of(lane)[0])

        await until(passed_over_again, LIMIT_S, "the inbox passed over again")


async def test_an_agent_with_state_gets_an_inbox(load: Load) -> None:
    """It goes on from where it was."""
    agent = agent_of(load)
    async with local_lane(load, replace(agent, sources=(load.source,), inbox="")):
        await bad_record(load)
        async with load.cluster.producer() as producer:
            await producer.send_and_wait(load.source, b"good", key=b"k", partition=PARTITION)
        await output(load)
    async with local_lane(load, agent) as lane:
        await lane.becomes({PARTITION: "running"})
        hold = lane.task(PARTITION).hold
        assert hold is not None
        assert hold.tables[TABLE].get("count") == 1


async def test_the_sources_alone_say_whose_an_inbox_is(load: Load) -> None:
    """In a rolling upgrade the group gives the inbox, which older workers do not ask for, out otherwise."""
    async with local_lane(load, agent_of(load), assigned=[]) as lane:
        lane.host.assigned([(load.source, PARTITION), (f"{load.source}-inbox", 0)])
        await lane.becomes({PARTITION: "running"})
        letter = await bad_record(load)
        await redrive(load, letter, b"good", attempt=2)
        await output(load)
        assert lane.statuses() == {PARTITION: "running"}


async def test_a_fleet_without_the_inbox_topic_is_told_what_to_do(load: Load) -> None:
    """One line names agent, topic and command."""
    inbox = f"{load.source}-no-inbox"
    agent = replace(agent_of(load), sources=(load.source, inbox), inbox=inbox)
    with pytest.raises(FatalError, match=rf"agent where: topic {inbox} does not exist: .*topics apply"):
        async with local_lane(load, agent):
            pass
