"""Reads back, with read_committed, what a worker wrote, and compares it with what must be there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from zlib import crc32

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition

from benchmarks.claims import PARTITIONS, Expected
from benchmarks.measure import MeasureError

FETCH_TIMEOUT_MS = 500
FETCH_BYTES = 8 << 20
MAX_EMPTY_FETCHES = 20


async def records(bootstrap_servers: str, topic: str) -> AsyncIterator[list[ConsumerRecord]]:
    """Yield all committed records of `topic`, a fetch at a time.

    Raises:
        MeasureError: The topic gives nothing more before its end.
    """
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await reader.start()
    try:
        tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        begins = await reader.beginning_offsets(tps)
        ends = await reader.end_offsets(tps)
        reader.assign(tps)
        for tp in tps:
            reader.seek(tp, begins[tp])
        empty = 0
        while behind := [tp for tp in tps if await reader.position(tp) < ends[tp]]:
            fetched = await reader.getmany(*behind, timeout_ms=FETCH_TIMEOUT_MS)
            empty = 0 if fetched else empty + 1
            if empty > MAX_EMPTY_FETCHES:
                raise MeasureError(f"{topic} cannot be read to its end")
            for found in fetched.values():
                yield found
    finally:
        await reader.stop()


async def check_routed(bootstrap_servers: str, topics: dict[str, str], expected: Expected) -> None:
    """Check that each target topic holds every claim that belongs there, once.

    Args:
        bootstrap_servers: Brokers.
        topics: Topic by target suffix.
        expected: What must be there.

    Raises:
        MeasureError: Outputs are missing, doubled or not the ones they should be.
    """
    for suffix, topic in topics.items():
        count = checksum = 0
        async for found in records(bootstrap_servers, topic):
            count += len(found)
            checksum += sum(crc32(record.value) for record in found)
        if count != expected.routed[suffix][0]:
            raise MeasureError(f"{topic} holds {count:,} outputs, not {expected.routed[suffix][0]:,}")
        if checksum != expected.routed[suffix][1]:
            raise MeasureError(f"{topic} holds other outputs than it should: the checksums differ")


async def check_sums(bootstrap_servers: str, changelog: str, expected: Expected) -> None:
    """Check every row that the table's changelog ends with.

    Raises:
        MeasureError: A row is missing, wrong, or should not be there.
    """
    rows: dict[str, Any] = {}
    async for found in records(bootstrap_servers, changelog):
        rows.update((member_of(record.key), record.value) for record in found)
    # The lane keeps its own bookkeeping under keys that start with a zero byte.
    table = {key: tuple(orjson.loads(row)) for key, row in rows.items() if not key.startswith("\0")}
    wrong = sum(table.get(member) != row for member, row in expected.sums.items())
    strange = len(table.keys() - expected.sums.keys())
    if wrong or strange:
        of_all = f"{wrong:,} of {len(expected.sums):,} sums are wrong"
        raise MeasureError(f"{changelog}: {of_all}, and {strange:,} rows should not be there")


def member_of(key: bytes) -> str:
    """Return the member that a changelog key names: raw text, or JSON text where Faust wrote it."""
    return str(orjson.loads(key)) if key.startswith(b'"') else key.decode()
