"""The registry is out of reach: what needs it waits, what does not flows, nothing is set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from schemas.catalogue import load_catalogue
from schemas.registry import Registry
from tests.support.agents_claims import a_claim
from tests.support.agents_fleet import CANONICAL, PARTIALS, PARTITIONS, SUBJECT, Fleet
from tests.support.agents_mark import Mark
from tests.support.polling import until

AGENTS = {"router": "router", "aggregator": PARTIALS}
"""The agent of each worker that decodes claims."""
PAUSED_PARTITION = 4
LIMIT_S = 60.0


@pytest.fixture
def mended(fleet: Fleet) -> Iterator[None]:
    """Whatever the test finds, the workers reach the registry after it."""
    yield
    fleet.registry.mend()


async def under_a_new_id(fleet: Fleet, name: str) -> bytes:
    """Return a claim written with a schema that no worker has met."""
    schema: dict[str, Any] = load_catalogue().subjects()[SUBJECT] | {"doc": f"Written as {name}."}
    direct = fleet.settings.model_copy(update={"registry_url": None})
    async with Registry(direct.registry) as registry:
        new_id = await registry.register(f"{name}-value", schema)
    async with fleet.codec() as codec:
        known = codec.encode(SUBJECT, a_claim(npi="1000000004"))
        assert new_id != codec.schema_id(SUBJECT)
    return b"\x00" + new_id.to_bytes(4, "big") + known[5:]


async def partitions(fleet: Fleet, worker: str, status: str) -> dict[int, str]:
    """Return the partitions of claims that a worker has in a status, each with its reason."""
    tasks = (await fleet.get(worker, "/lane"))["tasks"]
    found = [task for task in tasks if task["status"] == status]
    assert {task["agent"] for task in found} <= {AGENTS[worker]}
    return {partition: task["reason"] for task in found for partition in claims_of(task)}


def claims_of(task: dict[str, Any]) -> list[int]:
    """Return the partitions of claims that a task reads: its own, or those of the topic that it follows."""
    followed = [name.rsplit("/", 1) for name in task["next"] if "/" in name]
    return [int(number) for topic, number in followed if topic == CANONICAL] or [task["partition"]]


@pytest.mark.usefixtures("mended")
async def test_an_outage_pauses_one_partition_and_loses_nothing(
    fleet: Fleet, unique: Callable[[str], str]
) -> None:
    """An event of a new schema id waits for the registry, the other partitions go on, then so does it."""
    before = fleet.pids()
    async with fleet.codec() as codec:
        known = codec.encode(SUBJECT, a_claim(npi="1000000003"))
    new = await under_a_new_id(fleet, unique("outage"))
    # Every worker has met the known id, so that only the new one needs the registry.
    first = await Mark.of(fleet)
    for partition in range(PARTITIONS):
        await fleet.send(CANONICAL, b"npi", known, partition=partition)
    await first.counted(events=PARTITIONS, aggregated=PARTITIONS)

    fleet.registry.cut()
    mark = await Mark.of(fleet)
    await fleet.send(CANONICAL, b"npi", new, partition=PAUSED_PARTITION)
    for agent in AGENTS:

        async def paused(agent: str = agent) -> dict[int, str]:
            return await partitions(fleet, agent, "paused")

        found = await until(paused, LIMIT_S, f"{agent} paused")
        assert list(found) == [PAUSED_PARTITION]
        assert "no answer from the schema registry" in found[PAUSED_PARTITION]

    for partition in range(PARTITIONS):
        await fleet.send(CANONICAL, b"npi", known, partition=partition)
    flowing = PARTITIONS - 1
    await mark.counted(events=flowing, aggregated=flowing)
    for agent in AGENTS:
        assert list(await partitions(fleet, agent, "paused")) == [PAUSED_PARTITION]

    fleet.registry.mend()
    await mark.counted(events=PARTITIONS + 1, aggregated=PARTITIONS + 1)
    for worker, agent in AGENTS.items():
        assert await partitions(fleet, worker, "paused") == {}
        assert await mark.dead_letters(agent) == []
    assert "(dead-letters)" not in await mark.delta()
    assert fleet.pids() == before


@pytest.mark.usefixtures("mended")
async def test_a_router_killed_in_an_outage_loses_nothing(fleet: Fleet, unique: Callable[[str], str]) -> None:
    """Started again without the registry it knows no schema at all: what comes waits, and then all flows."""
    async with fleet.codec() as codec:
        known = codec.encode(SUBJECT, a_claim(npi="1000000003"))
    new = await under_a_new_id(fleet, unique("restart"))
    mark = await Mark.of(fleet)
    fleet.registry.cut()
    await fleet.send(CANONICAL, b"npi", new, partition=PAUSED_PARTITION)

    async def paused() -> list[int]:
        return sorted(await partitions(fleet, "router", "paused"))

    await until(paused, LIMIT_S, "the router paused")
    fleet.workers["router"].kill()
    fleet.workers["router"] = fleet.start("router")
    for partition in range(PARTITIONS):
        await fleet.send(CANONICAL, b"npi", known, partition=partition)

    async def all_paused() -> bool:
        return await paused() == list(range(PARTITIONS))

    await until(all_paused, LIMIT_S, "every partition of the new router paused")
    fleet.registry.mend()
    await mark.counted(events=PARTITIONS + 1, aggregated=PARTITIONS + 1)
    assert await paused() == []
    for agent in AGENTS.values():
        assert await mark.dead_letters(agent) == []
    assert "(dead-letters)" not in await mark.delta()
