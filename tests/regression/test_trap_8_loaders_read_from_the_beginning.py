"""Trap 8: a state load could silently read nothing, and the table began empty.

A reset to the end that is in flight wins over ``seek_to_beginning``; the load then "finished".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from fleet.lane.clients import new_reader
from fleet.lane.config import LaneConfig
from fleet.lane.errors import Lost
from fleet.lane.loader import load
from fleet.lane.store import OFFSETS_KEY
from fleet.lane.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

TRIES = 300
"""Of these one at least: which of the two wins is a race, and on a busy machine mostly the other."""
LOADS = 20
TRANSACTIONS = 12
ABORTED = {1, 4, 7, 10}
# Each committed transaction removes the row of the third before it; 10's removal of 7 never happened,
# and neither did 7 itself.
ROWS = {f"row-{number}": number for number in (9, 11)}


async def _changelog(cluster: Cluster, name: str, transactions: int) -> None:
    """Write a changelog: each transaction one new row and one tombstone; some are aborted."""
    await cluster.create({name: 1}, cleanup_policy="compact")
    async with cluster.producer(transactional_id=name) as producer:
        for number in range(transactions):
            await producer.begin_transaction()
            offsets = orjson.dumps({"source": number + 1})
            for key, value in (
                (b"row-%d" % number, b"%d" % number),
                (b"row-%d" % (number - 3), None),
                (OFFSETS_KEY, offsets),
            ):
                await producer.send(name, key=key, value=value, partition=0)
            if number in ABORTED:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()


async def _loaded(cluster: Cluster, tp: TopicPartition) -> MemoryStore:
    reader = new_reader(LaneConfig(bootstrap_servers=cluster.servers))
    await reader.start()
    try:
        store = MemoryStore()
        await load(reader, {tp: store})
    finally:
        await reader.stop()
    return store


async def test_the_client_alone_reads_from_the_end(cluster: Cluster, unique: Callable[[str], str]) -> None:
    """``seek_to_beginning`` while a reset to the end is in flight: the position is the end, no error."""
    name, at_the_end = unique("changelog"), False
    await cluster.create({name: 1})
    await cluster.send(name, [(b"key", b"1")] * 5, partitions=1)
    tp = TopicPartition(name, 0)
    for _ in range(TRIES):
        reader = AIOKafkaConsumer(bootstrap_servers=cluster.servers)
        await reader.start()
        try:
            reader.assign([tp])
            await reader.end_offsets([tp])  # Any await will do.
            await reader.seek_to_beginning(tp)
            at_the_end = await reader.position(tp) == 5
        finally:
            await reader.stop()
        if at_the_end:
            break
    assert at_the_end


async def test_every_load_is_a_whole_one(cluster: Cluster, unique: Callable[[str], str]) -> None:
    """Time after time all committed rows, no aborted ones, and the last offsets."""
    name = unique("changelog")
    await _changelog(cluster, name, TRANSACTIONS)
    for _ in range(LOADS):
        loaded = await _loaded(cluster, TopicPartition(name, 0))
        assert dict(loaded.items()) == ROWS
        assert loaded.offsets == {"source": TRANSACTIONS}


async def test_an_empty_changelog_loads_as_empty(cluster: Cluster, unique: Callable[[str], str]) -> None:
    """A new table has no rows and stands nowhere: no error, and no wait."""
    name = unique("changelog")
    await cluster.create({name: 1}, cleanup_policy="compact")
    loaded = await _loaded(cluster, TopicPartition(name, 0))
    assert (dict(loaded.items()), loaded.offsets) == ({}, {})


async def test_a_reader_that_is_elsewhere_is_an_error(
    cluster: Cluster, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A position that is not the beginning fails the load: never an empty table instead."""
    name = unique("changelog")
    await _changelog(cluster, name, 2)
    tp = TopicPartition(name, 0)
    reader = new_reader(LaneConfig(bootstrap_servers=cluster.servers))
    await reader.start()
    try:
        end = (await reader.end_offsets([tp]))[tp]
        monkeypatch.setattr(reader, "seek", lambda tp, _: type(reader).seek(reader, tp, end))
        with pytest.raises(Lost, match="not at the beginning"):
            await load(reader, {tp: MemoryStore()})
    finally:
        await reader.stop()


async def test_without_a_position_the_reader_goes_nowhere(
    cluster: Cluster, unique: Callable[[str], str]
) -> None:
    """There is no reset policy that could jump to either end in silence."""
    name = unique("changelog")
    await cluster.create({name: 1})
    reader = new_reader(LaneConfig(bootstrap_servers=cluster.servers))
    await reader.start()
    try:
        reader.assign([TopicPartition(name, 0)])
        with pytest.raises(KafkaError):
            await reader.getmany(timeout_ms=5000)
    finally:
        await reader.stop()
