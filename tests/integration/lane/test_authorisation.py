"""A topic that the worker may not write to costs dead letters, never the partition's progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from fleet.lane import Emit, topics
from fleet.lane.dead_letters import reason_of
from tests.support.lane_acl import AUTHORIZER, NOBODY, Operation, allow
from tests.support.lane_broker import Broker
from tests.support.lane_host import local_lane, summing_agent
from tests.support.lane_load import LIMIT_S, PARTITIONS, Load
from tests.support.lane_worker import TABLE
from tests.support.polling import until
from tests.support.stack import isolated_settings

if TYPE_CHECKING:
    from fleet.lane import Chunk, Effect, State
    from fleet.lane.agent import Process
    from fleet.settings import Settings
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

EVENTS = 2_000
TRIED_AGAIN_S = 1.0


@pytest.fixture(scope="module")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a broker that asks an authorizer."""
    settings = isolated_settings(tmp_path_factory.mktemp("authorizing-broker"))
    with Broker.of(settings, AUTHORIZER):
        yield settings


@pytest.fixture
async def load(cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Load:
    """Charges; the worker sends them to two topics, and tries a refused one again soon."""
    monkeypatch.setattr(topics, "REFUSED_S", TRIED_AGAIN_S)
    return await Load.prepared(cluster, unique, seed=3)


async def ids(load: Load, to: str) -> list[int]:
    """Return the ids of the charges in one of the worker's topics."""
    await load.cluster.settled(f"{load.source}-{to}")
    return [orjson.loads(each.value)["id"] for each in await load.cluster.read(f"{load.source}-{to}")]


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param({Operation.DESCRIBE: "User:*", Operation.WRITE: NOBODY}, id="seen, not written"),
        pytest.param({Operation.DESCRIBE: NOBODY}, id="not even seen"),
    ],
)
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
async def test_outputs_to_it_are_dead_letters_until_it_may_be_written(
    allowed: dict[Operation, str], guarantee: str, load: Load
) -> None:
    """The other topic gets its outputs, each other charge is set aside; a grant is noticed by itself."""
    refused = f"{load.source}-b"
    for operation, to in allowed.items():
        await allow(load.cluster, refused, operation, to)
    agent = replace(summing_agent(load), dead_letter_limit=None)
    if guarantee == "at_least_once":
        agent = replace(agent, guarantee="at_least_once", tables=(), process=routing(load.source))
    await load.send(EVENTS)
    async with local_lane(load, agent):

        async def all_done() -> list[list[int]]:
            found = [await ids(load, "a"), await ids(load, "dead")]
            return found if {each for listed in found for each in listed} == set(range(EVENTS)) else []

        sent_on, set_aside = await until(all_done, LIMIT_S, "each charge sent on or set aside")
        assert not set(sent_on) & set(set_aside)
        if guarantee == "exactly_once":
            assert len(sent_on) + len(set_aside) == EVENTS
        (why, *_) = [reason_of(each.headers) for each in await load.cluster.read(f"{load.source}-dead")]
        assert (why["reason"], why["step"]) == ("not_authorized", "produce")
        assert refused in why["detail"]

        for operation in (Operation.DESCRIBE, Operation.WRITE, Operation.READ):
            await allow(load.cluster, refused, operation)

        async def delivered() -> bool:
            await load.send(40)
            return bool(await ids(load, "b"))

        await until(delivered, LIMIT_S, "outputs in the topic that may be written now")


def routing(source: str) -> Process:
    """Return a function that sends charges on, as the worker's does, without its table."""

    def route(chunk: Chunk, state: State) -> Iterator[Effect]:
        del state
        for record in chunk:
            to = orjson.loads(record.value or b"")["to"]
            yield Emit(f"{source}-{to}", record.key, record.value, cause=record)

    return route


async def test_after_a_grant_a_redrive_delivers(load: Load) -> None:
    """What was set aside meanwhile comes back by the inbox, and goes where it was to go, once."""
    refused, inbox = f"{load.source}-b", f"{load.source}-inbox"
    await load.cluster.create({inbox: PARTITIONS})
    await allow(load.cluster, refused, Operation.DESCRIBE)
    agent = replace(summing_agent(load), sources=(load.source, inbox), inbox=inbox, dead_letter_limit=None)
    await load.send(100)
    async with local_lane(load, agent):
        await load.consumed()
        set_aside = await ids(load, "dead")
        assert set_aside
        for operation in (Operation.WRITE, Operation.READ):
            await allow(load.cluster, refused, operation)
        async with (
            load.cluster.producer(transactional_id=f"{load.app_id}-redrive") as producer,
            producer.transaction(),
        ):
            for each in await load.cluster.read(f"{load.source}-dead"):
                where = int(reason_of(each.headers)["partition"])
                await producer.send(
                    inbox, each.value, key=each.key, partition=where, headers=list(each.headers)
                )

        async def delivered() -> bool:
            return sorted(await ids(load, "b")) == sorted(set_aside)

        await until(delivered, LIMIT_S, "what was set aside in the topic that may be written now")


async def test_a_changelog_that_may_not_be_written_halts_the_task(load: Load) -> None:
    """State is no output to set aside: the line names the topic and what to grant."""
    async with local_lane(load, assigned=[]):
        pass
    changelog = f"{load.app_id}-{TABLE}-changelog"
    for operation in (Operation.DESCRIBE, Operation.READ):
        await allow(load.cluster, changelog, operation)
    await load.send(EVENTS)
    async with local_lane(load, halted_retry_s=0.5) as lane:
        await lane.becomes(dict.fromkeys(range(4), "halted"))
        reason = lane.task(0).reason
        assert changelog in reason
        assert "grant its user DESCRIBE, and READ or WRITE" in reason
        await allow(load.cluster, changelog, Operation.WRITE)
        await load.consumed()
    await load.check()
