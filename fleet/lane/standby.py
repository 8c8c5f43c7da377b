"""Standbys: copies of table partitions that other workers own, kept up with their changelogs.

A copy is only ever given what is committed, so at a promotion its new owner, once it has fenced the
old one, reads the rest of the changelog and no more. Nothing is written from a copy; what is answered
from one says how far it has got.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.structs import TopicPartition

from fleet.lane import metrics
from fleet.lane.bounded import bounded
from fleet.lane.clients import assign_at, discard, new_reader
from fleet.lane.loader import COMMIT_MARKER, start_of
from fleet.lane.store import now_ms
from fleet.lane.topics import DELETE_RETENTION_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from aiokafka import AIOKafkaConsumer

    from fleet.lane.config import LaneConfig
    from fleet.lane.store import Store

    OpenStore = Callable[[str, int], Awaitable[Store]]

log = logging.getLogger(__name__)

FETCH_BYTES = 1 << 20
FETCH_TIMEOUT_MS = 500
MAX_RECORDS = 5_000
AGAIN_S = 1.0

TablePartition = tuple[str, int]


@dataclass(slots=True)
class Copy:
    """One table partition that another worker owns.

    Attributes:
        table: Name of the table.
        store: Its committed rows, as far as they are read.
        lag: Changelog offsets not read yet; None while that is not known.
        current_at_ms: When it last held all that was committed, epoch milliseconds; None before it first did.
    """

    table: str
    store: Store
    lag: int | None = None
    current_at_ms: int | None = None


class Standbys:
    """All the copies that one worker keeps, filled by one reader.

    Args:
        config: How to reach Kafka.
        open_store: Opens the store of a table partition.
        changelog: Gives the changelog topic of a table.
        tombstones_ms: Gives how long a changelog topic keeps a tombstone.
    """

    def __init__(
        self,
        config: LaneConfig,
        open_store: OpenStore,
        changelog: Callable[[str], str],
        tombstones_ms: Callable[[str], int] = lambda _: DELETE_RETENTION_MS,
    ) -> None:
        self._config = config
        self._tombstones_ms = tombstones_ms
        self._open_store = open_store
        self._changelog = changelog
        self._wanted: dict[TopicPartition, str] = {}
        self._copies: dict[TopicPartition, Copy] = {}
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def want(self, wanted: Iterable[TablePartition], promoted: Iterable[TablePartition] = ()) -> None:
        """Keep copies of exactly these table partitions.

        Args:
            wanted: What to keep copies of.
            promoted: What this worker owns by now: a copy is kept up until its task takes it.
        """
        ready = {self._tp(*each): each[0] for each in promoted}
        self._wanted = {self._tp(*each): each[0] for each in wanted} | {
            tp: table for tp, table in ready.items() if tp in self._copies
        }
        for tp in [tp for tp in self._copies if tp not in self._wanted]:
            self._close(tp)
        self._changed.set()
        if self._wanted and self._running is None:
            self._running = asyncio.ensure_future(self._run())

    def take(self, table: str, partition: int) -> Store | None:
        """Give the copy of a table partition to the task that owns it now; None where there is none."""
        tp = self._tp(table, partition)
        self._wanted.pop(tp, None)
        copy = self._forget(tp)
        return None if copy is None else copy.store

    def copy(self, table: str, partition: int) -> Copy | None:
        """Return the copy of a table partition, or None where there is none."""
        return self._copies.get(self._tp(table, partition))

    async def stop(self) -> None:
        """Read no more, and close all copies."""
        self._wanted = {}
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
            self._running = None
        for tp in list(self._copies):
            self._close(tp)

    def describe(self) -> list[dict[str, Any]]:
        """Return the copies as JSON-serialisable rows."""
        return [
            {"table": copy.table, "partition": tp.partition, "lag": copy.lag, "rows": len(copy.store)}
            for tp, copy in sorted(self._copies.items())
        ]

    def _tp(self, table: str, partition: int) -> TopicPartition:
        return TopicPartition(self._changelog(table), partition)

    def _forget(self, tp: TopicPartition) -> Copy | None:
        copy = self._copies.pop(tp, None)
        if copy is not None:
            self._changed.set()
            if copy.lag is not None:
                metrics.STANDBY_LAG.remove(copy.table, str(tp.partition))
        return copy

    def _close(self, tp: TopicPartition) -> None:
        copy = self._forget(tp)
        if copy is not None:
            copy.store.close()

    async def _run(self) -> None:
        while self._wanted:
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001 - whatever it is, the copies stand and are read on from
                log.warning("standbys are read anew: %s: %s", type(error).__name__, error)
                await asyncio.sleep(AGAIN_S)
        self._running = None

    async def _follow(self) -> None:
        reader = new_reader(self._config, max_fetch_bytes=FETCH_BYTES)
        self._changed.set()
        try:
            await bounded(reader.start(), self._config.acquire_limit_s, "standby reader")
            while self._wanted:
                if self._changed.is_set():
                    self._changed.clear()
                    await self._open_wanted()
                    await self._take_positions(reader)
                if self._copies:
                    await self._read(reader)
                else:
                    await self._changed.wait()
        finally:
            discard(reader)

    async def _open_wanted(self) -> None:
        for tp, table in list(self._wanted.items()):
            if tp not in self._wanted or tp in self._copies:
                continue
            try:
                store = await self._open_store(table, tp.partition)
            except Exception as error:  # noqa: BLE001 - e.g. its last owner here has not closed it yet
                self._again(tp, error)
                continue
            if tp in self._wanted:
                self._copies[tp] = Copy(table, store)
            else:
                store.close()

    def _again(self, tp: TopicPartition, error: Exception) -> None:
        log.warning("standby of %s/%d begins anew: %s", tp.topic, tp.partition, error)
        asyncio.get_running_loop().call_later(AGAIN_S, self._changed.set)

    async def _take_positions(self, reader: AIOKafkaConsumer) -> None:
        tps = list(self._copies)
        limit_s = self._config.acquire_limit_s
        begins = await bounded(reader.beginning_offsets(tps), limit_s, "reading changelog offsets")
        ends = await bounded(reader.end_offsets(tps), limit_s, "reading changelog offsets")
        at = {
            tp: start_of(tp, copy.store, begins[tp], ends[tp], self._tombstones_ms(tp.topic))
            for tp in tps
            if (copy := self._copies.get(tp)) is not None
        }
        if at:
            await bounded(assign_at(reader, at), limit_s, "taking the position")

    async def _read(self, reader: AIOKafkaConsumer) -> None:
        fetched = await reader.getmany(timeout_ms=FETCH_TIMEOUT_MS, max_records=MAX_RECORDS)
        for tp, records in fetched.items():
            # It may have been taken or dropped while others were read.
            if (copy := self._copies.get(tp)) is not None:
                self._apply(tp, copy, records, reader.last_stable_offset(tp))
            await asyncio.sleep(0)
        for tp in reader.assignment():
            end, position = reader.last_stable_offset(tp), await reader.position(tp)
            if (copy := self._copies.get(tp)) is not None and end is not None:
                copy.lag = max(0, end - position)
                copy.current_at_ms = copy.current_at_ms if copy.lag else now_ms()
                metrics.STANDBY_LAG.labels(copy.table, str(tp.partition)).set(copy.lag)

    def _apply(self, tp: TopicPartition, copy: Copy, records: list[Any], end: int | None) -> None:
        after = records[-1].offset + 1
        caught_up = end is not None and after + COMMIT_MARKER >= end
        try:
            copy.store.replay(records, after, now_ms() if caught_up else None)
        except Exception as error:  # noqa: BLE001 - one bad store must not hold up the others
            self._close(tp)
            self._again(tp, error)
        else:
            metrics.STANDBY_RECORDS.labels(copy.table, str(tp.partition)).inc(len(records))
