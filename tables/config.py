"""Config tables: what users change, in a compacted topic, read to its end before it is used.

The lane's own reader instead of a Faust GlobalTable, which never finishes recovery on a
topic that is written by transactions (engine trap 3).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, Generic, TypeVar

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from fleet.errors import EventfleetError
from fleet.lane.clients import assign_at, new_reader
from fleet.lane.config import LaneConfig
from fleet.lane.reading import read

log = logging.getLogger(__name__)

Snapshot = TypeVar("Snapshot")

FETCH_TIMEOUT_MS = 200
RETRY_S = 1.0


class ConfigTable(Generic[Snapshot]):
    """Follows one compacted, one-partition topic and keeps an immutable snapshot of it.

    Args:
        config: How to reach Kafka.
        topic: The topic.
        parse: Makes a row of a record's key and value; whatever it raises keeps the row's last good version.
        combine: Makes the snapshot of all rows by key, and of the offset up to which they were read.
        audit: Topic with what the rows were before; where the last good version of a row is found again
            by a process that starts when the row is bad already.

    Attributes:
        offset: Up to where the topic is read; the snapshot is of all rows before it. The offset that a
            snapshot was made with may be less: what comes after it then is no row.
    """

    def __init__(
        self,
        config: LaneConfig,
        topic: str,
        parse: Callable[[str, bytes], Any],
        combine: Callable[[Mapping[str, Any], int], Snapshot],
        audit: str | None = None,
    ) -> None:
        self.topic = topic
        self.offset = 0
        self.active_since: dict[str, float] = {}
        self.refused: dict[str, str] = {}
        self._config = config
        self._parse = parse
        self._combine = combine
        self._rows: dict[str, Any] = {}
        self._offsets: dict[str, int] = {}
        self._audit = audit
        self._snapshot = combine({}, 0)
        self._ready = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def snapshot(self) -> Snapshot:
        """Return the current snapshot; callers keep it for as long as they need one view."""
        return self._snapshot

    async def ready(self) -> None:
        """Start following, and return once the topic has been read to its end."""
        if self._following is None:
            self._following = asyncio.ensure_future(self._follow())
        await self._ready.wait()

    async def stop(self) -> None:
        """Stop following."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.wait({following}, timeout=RETRY_S)

    async def _follow(self) -> None:
        while True:
            reader = new_reader(self._config)
            try:
                await reader.start()
                await self._read(reader)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, read again from the start
                log.warning("config %s is read anew: %s: %s", self.topic, type(error).__name__, error)
                await asyncio.sleep(RETRY_S)
            finally:
                await asyncio.wait({asyncio.ensure_future(reader.stop())}, timeout=RETRY_S)

    async def _read(self, reader: AIOKafkaConsumer) -> None:
        tp = TopicPartition(self.topic, 0)
        begin = (await reader.beginning_offsets([tp]))[tp]
        end = (await reader.end_offsets([tp]))[tp]
        await assign_at(reader, {tp: begin})
        rows: dict[str, Any] = {}
        while await reader.position(tp) < end:
            self._take(rows, await self._fetch(reader, tp))
        await self._look_back(rows)
        self._rows = rows
        self._publish(await reader.position(tp))
        self._ready.set()
        while True:
            records = await self._fetch(reader, tp)
            if records:
                self._take(rows, records)
                self._publish(records[-1].offset + 1)
            # The marker of a transaction comes after its records: a process that starts then reads past it.
            self.offset = max(self.offset, await reader.position(tp))

    async def _fetch(self, reader: AIOKafkaConsumer, tp: TopicPartition) -> list[Any]:
        fetched = await reader.getmany(tp, timeout_ms=FETCH_TIMEOUT_MS)
        return list(fetched.get(tp, []))

    def _take(self, rows: dict[str, Any], records: list[Any]) -> None:
        for record in records:
            key = (record.key or b"").decode(errors="replace")
            if record.value is None:
                rows.pop(key, None)
                self.active_since.pop(key, None)
                self.refused.pop(key, None)
                continue
            try:
                rows[key] = self._parse(key, record.value)
            except Exception as error:  # noqa: BLE001 - no row, however odd, may stop the table
                self._refuse(rows, key, record.offset, error)
            else:
                self.refused.pop(key, None)
                if self._offsets.get(key) != record.offset:
                    self.active_since[key] = time.time()
                self._offsets[key] = record.offset

    def _refuse(self, rows: dict[str, Any], key: str, offset: int, error: Exception) -> None:
        """Note a bad row; what is active stays active, also where the topic no longer has it."""
        reason = str(error) if isinstance(error, EventfleetError) else type(error).__name__
        self.refused[key] = f"offset {offset}: {reason}"
        log.warning("%s: row %s at offset %d is refused: %s", self.topic, key, offset, reason)
        if key not in rows and key in self._rows:
            rows[key] = self._rows[key]

    async def _look_back(self, rows: dict[str, Any]) -> None:
        """Find the last good version of rows that are bad, and of which this process has none."""
        missing = self.refused.keys() - rows.keys()
        if self._audit is None or not missing:
            return
        async with aclosing(read(self._config, [self._audit])) as records:
            async for record in records:
                key = (record.key or b"").decode(errors="replace")
                if key in missing:
                    with suppress(Exception):  # A version that is bad too is not the last good one.
                        rows[key] = self._parse(key, orjson.dumps(orjson.loads(record.value)["after"]))
                        self.active_since[key] = time.time()

    def _publish(self, offset: int) -> None:
        try:
            self._snapshot = self._combine(dict(self._rows), offset)
        except EventfleetError as error:
            log.warning("%s: the change up to offset %d is refused: %s", self.topic, offset, error)
            if not self._ready.is_set():
                # Without an older snapshot to keep there is none to begin with: fail closed.
                raise
        self.offset = offset

    def rows(self) -> dict[str, Any]:
        """Return the rows by key, as this process has them."""
        return dict(self._rows)
