"""Bulk load of a table partition from its changelog."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from fleet.lane.errors import Lost
from fleet.lane.staging import OFFSETS_KEY

if TYPE_CHECKING:
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


async def load(reader: AIOKafkaConsumer, tp: TopicPartition) -> Loaded:
    """Read `tp` from its first committed record to its last stable offset.

    The caller has fenced the writer, so that offset does not move any more. The reader is
    left assigned to `tp`.

    Raises:
        Lost: The reader did not start at the beginning, or stopped getting on.
    """
    begin = (await reader.beginning_offsets([tp]))[tp]
    end = (await reader.end_offsets([tp]))[tp]
    reader.assign([tp])
    # An explicit seek with nothing awaited since the assignment: seek_to_beginning loses to
    # a reset in flight and then reads nothing (engine trap 8).
    reader.seek(tp, begin)
    if await reader.position(tp) != begin:
        raise Lost(f"reader of {tp.topic}/{tp.partition} is not at the beginning")
    loaded = Loaded()
    moved_at = time.monotonic()
    while await reader.position(tp) < end:
        records = (await reader.getmany(tp, timeout_ms=FETCH_TIMEOUT_MS, max_records=MAX_RECORDS)).get(tp)
        if records:
            _take(loaded, records)
            moved_at = time.monotonic()
        elif time.monotonic() - moved_at > NO_PROGRESS_LIMIT_S:
            raise Lost(f"changelog {tp.topic}/{tp.partition} gives nothing before its end {end}")
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
