"""Trap 6: a partition that is assigned and dropped stands still; a stale worker robs its owner."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import ProducerFenced
from aiokafka.structs import TopicPartition

from fleet.errors import TransientError
from fleet.lane import host, task
from tests.support.lane_host import LIMIT_S, local_lane, summing_agent
from tests.support.lane_load import PARTITIONS, Load
from tests.support.lane_worker import AGENT
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.lane import Chunk
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack


async def test_the_client_alone_lets_a_stale_worker_rob_the_owner(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Whoever comes last has the transactional id, member of the group or not; the owner cannot commit."""
    name, source = unique("tx"), unique("source")
    await cluster.create({source: 1})
    async with cluster.producer(transactional_id=name) as owner:
        await owner.begin_transaction()
        await owner.send_and_wait(source, b"one", partition=0)
        async with cluster.producer(transactional_id=name):
            with pytest.raises(ProducerFenced):
                await owner.commit_transaction()


async def test_a_fenced_task_gets_on_in_the_next_generation(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """It asks to join anew, and does not take its id back before the group has answered."""
    load = await Load.prepared(cluster, unique, seed=6)
    await load.send(2000)
    async with local_lane(load) as lane:
        await load.consumed()
        async with cluster.producer(transactional_id=f"{load.app_id}-{AGENT}-2") as other:
            await other.begin_transaction()
            await load.send(2000)
            await lane.becomes({2: "fenced"})
            await other.commit_transaction()

            async def asked_to_rejoin() -> bool:
                return lane.member.rejoins > 0

            await until(asked_to_rejoin, LIMIT_S, "a request for a new generation")
            assert lane.statuses()[2] == "fenced"
            assert not await load.is_consumed()
        lane.assign(range(PARTITIONS))
        await load.consumed()
    await load.check()


async def test_a_worker_that_the_group_does_not_know_fences_nobody(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """A woken worker acts on an assignment of long ago: it must ask the group before it takes ids."""
    load = await Load.prepared(cluster, unique, seed=6)
    await load.send(1000)
    async with (
        local_lane(load, assigned=[]) as lane,
        cluster.producer(transactional_id=f"{load.app_id}-{AGENT}-0") as owner,
    ):
        lane.member.known = False
        lane.assign(range(PARTITIONS))

        async def asked_thrice() -> bool:
            return lane.member.asked >= 3 * PARTITIONS

        await until(asked_thrice, LIMIT_S, "the group asked")
        async with owner.transaction():
            offsets = {TopicPartition(f"{load.source}-dead", 0): 1}
            await owner.send_offsets_to_transaction(offsets, unique("other"))
        assert set(lane.statuses().values()) == {"acquiring"}
        lane.member.known = True
        await load.consumed()
    await load.check()


async def test_a_task_that_does_not_get_on_starts_again(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records wait and none is committed: the watchdog makes it a loss, which acquires anew."""
    monkeypatch.setattr(host, "WATCH_EVERY_S", 0.1)
    load = await Load.prepared(cluster, unique, seed=6)
    await load.send(4000)
    async with local_lane(load, progress_limit_s=0.5) as lane:
        await lane.becomes({1: "running"})
        stuck = lane.task(1).hold
        assert stuck is not None
        stuck.reader.pause(*stuck.sources)  # A reader that gives nothing, for whatever reason.
        await load.consumed()
        assert lane.task(1).hold is not stuck
        await lane.becomes(dict.fromkeys(range(PARTITIONS), "running"))
        assert lane.host.unready() == []
    await load.check()


@pytest.mark.parametrize("paused_before", [False, True])
async def test_a_hang_on_the_last_chunk_is_seen_too(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, *, paused_before: bool
) -> None:
    """All is fetched, so nothing is left to read; a chunk in hand that gets nowhere counts as waiting.

    So does one that is tried again after a pause.
    """
    monkeypatch.setattr(host, "WATCH_EVERY_S", 0.1)
    load = await Load.prepared(cluster, unique, seed=6)
    hung: list[int] = []

    async def prepare(chunk: Chunk) -> None:
        partition = chunk[0].partition
        if partition == 1 and len(hung) < 2:
            hung.append(partition)
            if paused_before and len(hung) == 1:
                raise TransientError("the registry does not answer")
            await asyncio.Event().wait()

    agent = dataclasses.replace(summing_agent(load), prepare=prepare)
    async with local_lane(load, agent, progress_limit_s=2.0) as lane:
        await lane.becomes(dict.fromkeys(range(PARTITIONS), "running"))
        await load.send(50)
        await load.consumed()
        assert len(hung) == 2
        await lane.becomes(dict.fromkeys(range(PARTITIONS), "running"))
        assert lane.host.unready() == []
    await load.check()


async def test_work_that_ignores_its_end_does_not_keep_the_partition(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hung step that even swallows its cancellation is left behind, and the partition acquired anew."""
    monkeypatch.setattr(host, "WATCH_EVERY_S", 0.1)
    monkeypatch.setattr(task, "WORK_ENDS_S", 0.1)
    load = await Load.prepared(cluster, unique, seed=6)
    let_go = asyncio.Event()
    hung: list[int] = []

    async def prepare(chunk: Chunk) -> None:
        if chunk[0].partition == 1 and not hung:
            hung.append(1)
            while not let_go.is_set():
                with suppress(asyncio.CancelledError):
                    await let_go.wait()

    agent = dataclasses.replace(summing_agent(load), prepare=prepare)
    async with local_lane(load, agent, progress_limit_s=1.0):
        await load.send(500)
        await load.consumed()
        assert hung
        let_go.set()
        await load.send(500)
        await load.consumed()
    await load.check()


async def test_a_member_that_is_never_confirmed_joins_anew(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """A worker that waits for the group's word for too long asks for a new generation."""
    load = await Load.prepared(cluster, unique, seed=6)
    async with local_lane(load, assigned=[], progress_limit_s=0.5) as lane:
        lane.member.known = False
        lane.assign([0])

        async def asked_to_rejoin() -> bool:
            return lane.member.rejoins > 0

        await until(asked_to_rejoin, LIMIT_S, "a request for a new generation")
        assert lane.statuses() == {0: "acquiring"}
