"""Takes in records while a transaction is under way, so that the next chunk has the newest."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiokafka import AIOKafkaConsumer, ConsumerRecord
    from aiokafka.structs import TopicPartition

    from fleet.lane.progress import Progress

FETCH_TIMEOUT_MS = 250
MAX_COUNTED = 1_000
"""Records of a fetch whose bytes are summed; one of more is a fetch of the full size."""


class Intake:
    """The records that a reader has given, and nobody has taken yet.

    The client fetches a partition again only once all that it has of it is taken. Were that left
    until the transaction in flight is committed, a record would wait for it, then for the next,
    of those that were fetched before, and be in the one after.

    Args:
        reader: The reader of one task.
        progress: Is told how many records are in here.
        most: Gives how many there may be.
        max_bytes: How many bytes there may be, but for a first fetch that is larger.
    """

    def __init__(
        self, reader: AIOKafkaConsumer, progress: Progress, most: Callable[[], int], max_bytes: int
    ) -> None:
        self._reader = reader
        self._progress = progress
        self._most = most
        self._max_bytes = max_bytes
        self._records: dict[TopicPartition, list[ConsumerRecord]] = {}
        self._count = self._bytes = 0
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._filled = asyncio.Event()
        self._work: asyncio.Future[None] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take records in within the block; what was taken in before is forgotten."""
        self._records, self._count, self._bytes = {}, 0, 0
        self._arrived.clear()
        self._work = asyncio.ensure_future(self._take_in())
        try:
            yield
        finally:
            self._work.cancel()
            self._progress.waiting = 0

    def __contains__(self, tp: object) -> bool:
        """Return whether records of a partition are in here."""
        return tp in self._records

    async def take(self, wait_ms: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return the records that are there, in order; wait for the first of them for `wait_ms` at most.

        Raises:
            KafkaError: What the reader raised.
        """
        assert self._work is not None, "take within the block of open"  # noqa: S101 - a bug of ours
        if not self._count:
            arrival = asyncio.ensure_future(self._arrived.wait())
            waits: set[asyncio.Future[Any]] = {arrival, self._work}
            await asyncio.wait(waits, timeout=wait_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
            arrival.cancel()
        if not self._count and self._work.done():
            await self._work
        taken, self._records = self._records, {}
        self._count = self._bytes = self._progress.waiting = 0
        self._arrived.clear()
        self._filled.clear()
        self._taken.set()
        return taken

    async def fill(self, limit_s: float) -> None:
        """Wait until there is no room for more records, for `limit_s` at most."""
        if limit_s > 0 and self._room() > 0:
            filled = asyncio.ensure_future(self._filled.wait())
            await asyncio.wait({filled}, timeout=limit_s)
            filled.cancel()

    async def _take_in(self) -> None:
        while True:
            room = self._room()
            if room <= 0:
                self._taken.clear()
                await self._taken.wait()
                continue
            fetched = await self._reader.getmany(timeout_ms=FETCH_TIMEOUT_MS, max_records=room)
            for tp, records in fetched.items():
                self._add(tp, records)

    def _room(self) -> int:
        """Return how many more records may come, should they be as large as those before."""
        room = self._most() - self._count
        if not self._count:
            return room
        return min(room, (self._max_bytes - self._bytes) * self._count // max(1, self._bytes))

    def _add(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        known = self._records.get(tp)
        if known is None:
            self._records[tp] = records
        else:
            known += records
        self._count += len(records)
        self._progress.waiting = self._count
        self._bytes += _bytes_of(records) if len(records) <= MAX_COUNTED else self._max_bytes
        self._arrived.set()
        if self._room() <= 0:
            self._filled.set()


def _bytes_of(records: list[ConsumerRecord]) -> int:
    return sum([record.serialized_key_size + record.serialized_value_size for record in records])
