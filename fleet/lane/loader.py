"""Bulk load of table partitions from their changelogs."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from fleet.lane import metrics
from fleet.lane.clients import assign_at
from fleet.lane.errors import Lost
from fleet.lane.store import now_ms
from fleet.lane.topics import DELETE_RETENTION_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka import AIOKafkaConsumer
    from aiokafka.structs import TopicPartition

    from fleet.lane.store import Store

log = logging.getLogger(__name__)

FETCH_TIMEOUT_MS = 500
MAX_RECORDS = 5_000
NO_PROGRESS_LIMIT_S = 30.0
COMMIT_MARKER = 1
"""Offsets between the last record of a transaction and what follows it."""


async def load(
    reader: AIOKafkaConsumer,
    stores: Mapping[TopicPartition, Store],
    tombstones_ms: Callable[[str], int] = lambda _: DELETE_RETENTION_MS,
) -> dict[TopicPartition, int]:
    """Bring each store to the last stable offset of its changelog partition.

    A store that cannot be brought there from where it stands begins anew. The caller has fenced
    the writer, so the end does not move any more. The reader is left assigned to the partitions,
    with a fetch in flight that would delay its next use: discard it.

    Args:
        reader: A started consumer.
        stores: The stores by changelog partition.
        tombstones_ms: Gives how long a changelog topic keeps a tombstone.

    Returns:
        Records read, by partition.

    Raises:
        Lost: The reader did not start where it should, or stopped getting on.
    """
    tps = list(stores)
    started_ms = now_ms()
    begins = await reader.beginning_offsets(tps)
    ends = await reader.end_offsets(tps)
    starts = {
        tp: start_of(tp, store, begins[tp], ends[tp], tombstones_ms(tp.topic)) for tp, store in stores.items()
    }
    await assign_at(reader, starts)
    read = dict.fromkeys(tps, 0)
    moved_at = time.monotonic()
    while behind := [tp for tp in tps if await reader.position(tp) < ends[tp]]:
        fetched = await reader.getmany(*behind, timeout_ms=FETCH_TIMEOUT_MS, max_records=MAX_RECORDS)
        for tp, records in fetched.items():
            stores[tp].replay(records, records[-1].offset + 1)
            read[tp] += len(records)
            metrics.LOADED.labels(tp.topic).inc(len(records))
            moved_at = time.monotonic()
        await asyncio.sleep(0)
        if time.monotonic() - moved_at > NO_PROGRESS_LIMIT_S:
            raise Lost(f"changelog {behind[0].topic}/{behind[0].partition} gives nothing before its end")
    for tp, store in stores.items():
        # What the reader passes over at the end, a commit marker, is no record.
        store.replay((), max(ends[tp], store.position or 0), started_ms)
    return read


def start_of(tp: TopicPartition, store: Store, begin: int, end: int, tombstones_ms: int) -> int:
    """Return where to read on; a store that cannot be brought to the end from there begins anew.

    Args:
        tp: The changelog partition.
        store: Its store.
        begin: First offset of the changelog.
        end: Its last stable offset.
        tombstones_ms: How long it keeps a tombstone.
    """
    position, asked_ms = store.position, now_ms()
    if position is not None:
        stale = not asked_ms - tombstones_ms // 2 <= (store.current_ms or 0) <= asked_ms
        if not begin <= position <= end:
            cause, why = "position", f"it stands at {position}, the changelog goes from {begin} to {end}"
        elif stale and position < end - COMMIT_MARKER:
            cause, why = "age", "tombstones since it was last current may be gone"
        else:
            return position
        log.warning("the store of %s/%d begins anew: %s", tp.topic, tp.partition, why)
        metrics.REBUILT.labels(cause).inc()
        store.clear()
    # Nothing in it can miss a tombstone that was written before now.
    store.replay((), begin, asked_ms)
    return begin
