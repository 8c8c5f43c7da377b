"""Trap 5: after a commit of unknown outcome, going on from memory doubles or loses a chunk.

A commit that timed out may have succeeded, or succeed later: the task discards everything and
reads fence, offset and state anew.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from tests.support.lane_host import local_lane
from tests.support.lane_load import Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

commit_transaction = AIOKafkaProducer.commit_transaction

TROUBLED_COMMITS = {3, 7, 8}


async def _never_sent(_: Any) -> None:
    await asyncio.Event().wait()


async def _answer_never_came(producer: Any) -> None:
    await commit_transaction(producer)
    await asyncio.Event().wait()


async def _committed_yet_failed(producer: Any) -> None:
    await commit_transaction(producer)
    raise KafkaError


async def _failed(_: Any) -> None:
    raise KafkaError


async def _out_of_reach(producer: Any) -> None:
    # The client reports a coordinator that times out as a fence.
    await commit_transaction(producer)
    raise ProducerFenced


async def test_the_client_alone_cannot_be_used_after_a_fence(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """Neither an abort nor another transaction comes of a producer that was fenced: it is to be discarded."""
    out, name = unique("out"), unique("tx")
    await cluster.create({out: 1})
    async with cluster.producer(transactional_id=name) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(out, b"one", partition=0)
        async with cluster.producer(transactional_id=name):
            with pytest.raises(ProducerFenced):
                await producer.commit_transaction()
        for call in (producer.abort_transaction, producer.begin_transaction):
            with pytest.raises((AssertionError, KafkaError)):
                await call()
    assert await cluster.read(out) == []


async def test_wait_for_is_no_bound_of_a_transaction(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit passes, the abort of the client waits for its coordinator, and `wait_for` for the abort."""
    async with cluster.producer(transactional_id=unique("tx")) as producer:

        async def body() -> None:
            async with producer.transaction():
                await asyncio.Event().wait()

        with monkeypatch.context() as patched:
            # What an abort does while the coordinator is out of reach.
            patched.setattr(producer, "abort_transaction", asyncio.Event().wait)
            waiting = asyncio.ensure_future(asyncio.wait_for(body(), 0.1))
            done, _ = await asyncio.wait({waiting}, timeout=2.0)
            assert not done
            waiting.cancel()
            await asyncio.wait({waiting})
        await producer.abort_transaction()


@pytest.mark.parametrize(
    "trouble",
    [_never_sent, _answer_never_came, _committed_yet_failed, _failed],
    ids=lambda each: each.__name__,
)
async def test_an_unknown_outcome_is_found_out_not_guessed(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    """Whether the chunk was committed or not, its outputs and sums are there once."""
    commits, abandoned, reused = 0, set(), set()

    async def commit(producer: Any) -> None:
        nonlocal commits
        commits += 1
        if producer in abandoned:
            reused.add(producer)
        if commits in TROUBLED_COMMITS:
            abandoned.add(producer)
            await trouble(producer)
        await commit_transaction(producer)

    monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", commit)
    load = await Load.prepared(cluster, unique, seed=5)
    await load.send(4000)
    async with local_lane(load, transaction_timeout_s=2.0):
        await load.consumed()
    assert len(abandoned) == len(TROUBLED_COMMITS)
    assert reused == set()
    await load.check()


async def test_what_looks_like_a_fence_waits_for_a_new_generation(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator out of reach and a fence look the same: both ask to join anew before acquiring."""
    troubled: list[Any] = []

    async def commit(producer: Any) -> None:
        if not troubled:
            troubled.append(producer)
            await _out_of_reach(producer)
        await commit_transaction(producer)

    monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", commit)
    load = await Load.prepared(cluster, unique, seed=5)
    await load.send(2000)
    async with local_lane(load, assigned=[0]) as lane:
        await lane.becomes({0: "fenced"})
        assert lane.member.rejoins >= 1
        lane.assign(range(4))
        await load.consumed()
    await load.check()


async def test_a_discarded_producer_leaves_nothing_open(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction that a hung commit left open is aborted; no reader waits for it for ever."""
    hung: list[Any] = []

    async def commit(producer: Any) -> None:
        if not hung:
            hung.append(producer)
            await asyncio.Event().wait()
        await commit_transaction(producer)

    monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", commit)
    load = await Load.prepared(cluster, unique, seed=5)
    await load.send(1000)
    async with local_lane(load, transaction_timeout_s=2.0) as lane:
        await load.consumed()
        assert lane.host.unready() == []
        await cluster.settled(f"{load.source}-a")
    assert hung[0]._closed
    await load.check()
