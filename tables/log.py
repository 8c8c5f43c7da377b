"""A config log as it stands: the rows of its table and the end of its audit, read to the last commit."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from fleet.lane.bounded import bounded
from fleet.lane.clients import assign_at, discard, new_reader
from fleet.lane.errors import Lost
from fleet.lane.reading import kafka_trouble, read
from fleet.lane.topics import Topics
from tables.audit import GENESIS

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord

    from fleet.lane.config import LaneConfig

READ_LIMIT_S = 10.0
FETCH_TIMEOUT_MS = 200
MAX_WAIT_MS = 5
"""How long Kafka holds a fetch back: the next one waits for it. Nothing is fetched between two views."""
REMEMBERED_CHANGES = 10_000
AUDIT_TAIL = 1_000
"""Offsets before the end of the audit that are read at first: only its last record must be among them."""


class Row(NamedTuple):
    """One row of the table, and the offset it has in the topic."""

    value: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class View:
    """A config log at one moment.

    Attributes:
        rows: Rows by key.
        offset: Where the next row will be, as long as nobody else writes.
        number: Number of the last audit record.
        last_hash: Its hash.
        changes: Ids of the newest changes.
    """

    rows: Mapping[str, Row]
    offset: int
    number: int
    last_hash: str
    changes: Mapping[str, None]


class LogReader:
    """Reads a config log, each time only what is new.

    Args:
        config: How to reach Kafka.
        topic: Compacted topic of one partition, the table.
        audit: Topic of one partition, the audit.
    """

    def __init__(self, config: LaneConfig, topic: str, audit: str) -> None:
        self._config = config
        self._topic = topic
        self._audit = audit
        self._copy: _Copy | None = None
        self._reading = asyncio.Lock()

    async def view(self) -> View:
        """Return the log up to the last commit before this call.

        Raises:
            FatalError: A topic does not exist.
            TransientError: Kafka does not answer.
        """
        async with self._reading:
            if self._copy is not None:
                try:
                    return await self._read(self._copy)
                except (KafkaError, Lost):
                    # A connection that has died since the last call says nothing about Kafka.
                    self.forget()
            try:
                return await self._read(await self._opened())
            except (KafkaError, Lost) as error:
                self.forget()
                raise kafka_trouble(self._config, error) from error
            except BaseException:
                self.forget()
                raise

    def forget(self) -> None:
        """Give up the connection and what was read; the next call begins anew."""
        copy, self._copy = self._copy, None
        if copy is not None:
            discard(copy.reader)

    async def records(self, name: str | None = None) -> AsyncGenerator[ConsumerRecord, None]:
        """Yield the audit's records from the first on, those of `name` alone where one is given."""
        async with aclosing(read(self._config, [self._audit])) as records:
            async for record in records:
                if name is None or (record.key or b"").decode(errors="replace") == name:
                    yield record

    async def _read(self, copy: _Copy) -> View:
        return await bounded(copy.catch_up(), READ_LIMIT_S, f"reading {self._topic}")

    async def _opened(self) -> _Copy:
        topics = Topics(self._config)
        try:
            await topics.require([self._topic, self._audit], by="config")
        finally:
            await topics.close()
        self._copy = copy = _Copy(new_reader(self._config, max_wait_ms=MAX_WAIT_MS), self._topic, self._audit)
        await bounded(copy.open(), READ_LIMIT_S, "the connection to Kafka")
        return copy


class _Copy:
    """What one reader has read: given up as a whole, so that nothing half-read is ever used."""

    def __init__(self, reader: AIOKafkaConsumer, topic: str, audit: str) -> None:
        self.reader = reader
        self._table, self._audit = TopicPartition(topic, 0), TopicPartition(audit, 0)
        self._rows: dict[str, Row] = {}
        self._number = 0
        self._last_hash = GENESIS
        self._changes: OrderedDict[str, None] = OrderedDict()

    async def open(self) -> None:
        """Connect, and read the table from its first row and the audit's newest records."""
        await self.reader.start()
        begins = await self.reader.beginning_offsets([self._table, self._audit])
        ends = await self.reader.end_offsets([self._audit])
        first, tail = begins[self._audit], AUDIT_TAIL
        while True:
            start = max(first, ends[self._audit] - tail)
            await assign_at(self.reader, {self._table: begins[self._table], self._audit: start})
            await self.catch_up()
            if self._number or start == first:
                return
            # Nothing but markers and what was rolled back: look further back.
            tail *= 10

    async def catch_up(self) -> View:
        """Read both topics to their last stable offsets."""
        tps = (self._table, self._audit)
        ends = await self.reader.end_offsets(tps)
        self.reader.resume(*tps)
        while behind := [tp for tp in tps if await self.reader.position(tp) < ends[tp]]:
            fetched = await self.reader.getmany(*behind, timeout_ms=FETCH_TIMEOUT_MS)
            for record in fetched.get(self._table, ()):
                self._take_row(record)
            for record in fetched.get(self._audit, ()):
                self._take_audit(record)
        self.reader.pause(*tps)
        return View(
            rows=dict(self._rows),
            offset=await self.reader.position(self._table),
            number=self._number,
            last_hash=self._last_hash,
            changes=self._changes,
        )

    def _take_row(self, record: ConsumerRecord) -> None:
        key = (record.key or b"").decode(errors="replace")
        if record.value is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = Row(record.value, record.offset)

    def _take_audit(self, record: ConsumerRecord) -> None:
        try:
            found: Any = orjson.loads(record.value or b"")
            number, last_hash, change = int(found["number"]), str(found["hash"]), str(found["change_id"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            # Written past the log: `verify` tells of it, the chain goes on from the last good record.
            return
        self._number, self._last_hash = number, last_hash
        self._changes[change] = None
        if len(self._changes) > REMEMBERED_CHANGES:
            self._changes.popitem(last=False)
