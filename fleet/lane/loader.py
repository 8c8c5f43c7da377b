"""Bulk load of a table partition from its changelog."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from fleet.lane.clients import assign_at
from fleet.lane.errors import Lost
from fleet.lane.staging import OFFSETS_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import AIOKafkaConsumer
    from aiokafka.structs import TopicPartition

FETCH_TIMEOUT_MS = 500
MAX_RECORDS = 50_000
NO_PROGRESS_LIMIT_S = 30.0


@dataclass(slots=True)
class Loaded:
    """Content of a changelog partition.

    Attributes:
        rows: The table's rows by key.
        offsets: Next source offset by topic that the rows stand at; empty for an empty changelog.
        records: Records read.
    """

    rows: dict[str, Any] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    records: int = 0


async def load(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> dict[TopicPartition, Loaded]:
    """Read each of `tps` from its first committed record to its last stable offset.

    The caller has fenced the writer, so that offset does not move any more. The reader is
    left assigned to `tps`, with a fetch in flight that would delay its next use: discard it.

    Raises:
        Lost: The reader did not start at the beginning, or stopped getting on.
    """
    begins = await reader.beginning_offsets(tps)
    ends = await reader.end_offsets(tps)
    await assign_at(reader, begins)
    loaded = {tp: Loaded() for tp in tps}
    moved_at = time.monotonic()
    while behind := [tp for tp in tps if await reader.position(tp) < ends[tp]]:
        fetched = await reader.getmany(*behind, timeout_ms=FETCH_TIMEOUT_MS, max_records=MAX_RECORDS)
        for tp, records in fetched.items():
            _take(loaded[tp], records)
            moved_at = time.monotonic()
        await asyncio.sleep(0)
        if time.monotonic() - moved_at > NO_PROGRESS_LIMIT_S:
            raise Lost(f"changelog {behind[0].topic}/{behind[0].partition} gives nothing before its end")
    return loaded


def _take(loaded: Loaded, records: list[Any]) -> None:
    rows, loads = loaded.rows, orjson.loads
    loaded.records += len(records)
    for record in records:
        if record.key == OFFSETS_KEY:
            loaded.offsets = loads(record.value)
        elif record.value is None:
            rows.pop(record.key.decode(), None)
        else:
            rows[record.key.decode()] = loads(record.value)
