"""Bulk load of table partitions from their changelogs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from fleet.lane.clients import assign_at
from fleet.lane.errors import Lost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaConsumer
    from aiokafka.structs import TopicPartition

    from fleet.lane.store import Store

FETCH_TIMEOUT_MS = 500
MAX_RECORDS = 5_000
NO_PROGRESS_LIMIT_S = 30.0


async def load(reader: AIOKafkaConsumer, stores: Mapping[TopicPartition, Store]) -> dict[TopicPartition, int]:
    """Bring each store to the last stable offset of its changelog partition.

    A store that stands where the changelog no longer is begins anew. The caller has fenced the
    writer, so the end does not move any more. The reader is left assigned to the partitions,
    with a fetch in flight that would delay its next use: discard it.

    Returns:
        Records read, by partition.

    Raises:
        Lost: The reader did not start where it should, or stopped getting on.
    """
    tps = list(stores)
    begins = await reader.beginning_offsets(tps)
    ends = await reader.end_offsets(tps)
    starts = {tp: start_of(store, begins[tp], ends[tp]) for tp, store in stores.items()}
    await assign_at(reader, starts)
    read = dict.fromkeys(tps, 0)
    moved_at = time.monotonic()
    while behind := [tp for tp in tps if await reader.position(tp) < ends[tp]]:
        fetched = await reader.getmany(*behind, timeout_ms=FETCH_TIMEOUT_MS, max_records=MAX_RECORDS)
        for tp, records in fetched.items():
            stores[tp].replay(records, records[-1].offset + 1)
            read[tp] += len(records)
            moved_at = time.monotonic()
        await asyncio.sleep(0)
        if time.monotonic() - moved_at > NO_PROGRESS_LIMIT_S:
            raise Lost(f"changelog {behind[0].topic}/{behind[0].partition} gives nothing before its end")
    for tp, store in stores.items():
        # What the reader passes over at the end, a commit marker, is no record.
        store.replay((), max(ends[tp], store.position or 0))
    return read


def start_of(store: Store, begin: int, end: int) -> int:
    """Return where to read on; a store that stands where the changelog no longer is begins anew."""
    position = store.position
    if position is not None and begin <= position <= end:
        return position
    if position is not None:
        store.clear()
    return begin
