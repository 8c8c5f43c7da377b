"""Trap 17: Faust's buffer counts events, however large: a backlog of large ones fills the memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lane_host import LIMIT_S, local_lane, summing_agent
from tests.support.lane_load import Load
from tests.support.polling import until
from tests.support.stock_faust import stock_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fleet.lane import Chunk, Effect, State
    from tests.support.lane_kafka import Cluster

FETCH_BYTES = 1 << 20
BATCH_BYTES = 256 * 1024
"""Kafka gives whole batches: the last one of a fetch may go over."""

VALUE = b"x" * 20_000
EVENTS = 1_000


def test_stock_faust_bounds_its_buffer_by_count_alone(tmp_path: Path) -> None:
    """4096 events of up to a mebibyte: 4 GiB a stream."""
    assert stock_app("buffer", tmp_path).conf.stream_buffer_maxsize == 4096


@pytest.mark.stack
async def test_the_lane_holds_two_fetches_behind_a_chunk(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """While an agent is slow a chunk is in its hands, as much is taken in, a fetch waits in the client."""
    load, enough, chunks = await Load.prepared(cluster, unique, seed=18), asyncio.Event(), list[int]()

    async def prepare(chunk: Chunk) -> None:
        chunks.append(sum(len(record.value or b"") for record in chunk))
        await enough.wait()

    def ignore(chunk: Chunk, state: State) -> Iterator[Effect]:
        del chunk, state
        yield from ()

    agent = replace(
        summing_agent(load),
        prepare=prepare,
        process=ignore,
        tables=(),
        max_chunk_records=EVENTS,
        max_fetch_bytes=FETCH_BYTES,
    )
    await cluster.send(load.source, [(b"key", VALUE)] * EVENTS, partitions=4, at=0)
    async with local_lane(load, agent, assigned=[0]) as lane:

        async def waits() -> list[Any]:
            holds = [task.hold for task in lane.host.tasks() if task.hold is not None and chunks]
            return [each for hold in holds for each in hold.reader._fetcher._records.values()]

        waiting = await until(waits, LIMIT_S, "a fetch that waits behind the chunk")
        assert len(waiting) == len(chunks) == 1
        (task,) = lane.host.tasks()
        assert task._progress.waiting * len(VALUE) <= FETCH_BYTES + BATCH_BYTES
        enough.set()
        await load.consumed()
    assert max(chunks) <= FETCH_BYTES + BATCH_BYTES
    assert sum(chunks) == EVENTS * len(VALUE)
