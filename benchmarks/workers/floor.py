"""The bare client in a plain loop, at least once: what the engines could at most come near."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from orjson import dumps, loads

from benchmarks.claims import ROUTES
from benchmarks.workers.job import ROUTE, Job, take

FETCH_BYTES = 2 << 20
FETCH_RECORDS = 8_000
FETCH_TIMEOUT_MS = 250
BATCH_BYTES = 512 * 1024


class Floor:
    """Fetch, decode, write in batches, await the deliveries, commit; and again."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._targets = {state: job.target(suffix) for state, suffix in ROUTES.items()}
        self._rows: dict[str, tuple[int, int]] = {}
        self._producer = AIOKafkaProducer(
            bootstrap_servers=job.bootstrap_servers, acks="all", max_batch_size=BATCH_BYTES
        )
        self._deliveries: list[Any] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Process until `stopping`."""
        consumer = AIOKafkaConsumer(
            self._job.source,
            bootstrap_servers=self._job.bootstrap_servers,
            group_id=self._job.name,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        await consumer.start()
        await self._producer.start()
        handle = self._route if self._job.case == ROUTE else self._keyed_sum
        try:
            while not stopping.is_set():
                fetched = await consumer.getmany(timeout_ms=FETCH_TIMEOUT_MS, max_records=FETCH_RECORDS)
                if fetched:
                    await self._process(handle, fetched)
                    await consumer.commit({tp: found[-1].offset + 1 for tp, found in fetched.items()})
        finally:
            await self._producer.stop()
            await consumer.stop()

    async def _process(self, handle: Any, fetched: dict[TopicPartition, list[Any]]) -> None:
        for tp, found in fetched.items():
            await handle(tp.partition, found)
        for delivery in self._deliveries:
            await delivery
        self._deliveries.clear()

    async def _route(self, partition: int, found: list[Any]) -> None:
        outputs: dict[str, list[tuple[bytes, bytes]]] = {topic: [] for topic in self._targets.values()}
        for record in found:
            outputs[self._targets[loads(record.value)["state"]]].append((record.key, record.value))
        for topic, pairs in outputs.items():
            await self._write(topic, partition, pairs)

    async def _keyed_sum(self, partition: int, found: list[Any]) -> None:
        rows, touched = self._rows, set()
        for record in found:
            claim = loads(record.value)
            member = claim["member_id"]
            count, cents = rows.get(member, (0, 0))
            rows[member] = (count + 1, cents + claim["charge_cents"])
            touched.add(member)
        pairs = ((member.encode(), dumps(rows[member])) for member in touched)
        await self._write(self._job.changelog, partition, pairs)

    async def _write(self, topic: str, partition: int, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        builder = self._producer.create_batch()
        for key, value in pairs:
            if builder.append(timestamp=None, key=key, value=value) is None:
                self._deliveries.append(await self._producer.send_batch(builder, topic, partition=partition))
                builder = self._producer.create_batch()
                builder.append(timestamp=None, key=key, value=value)
        if builder.record_count():
            self._deliveries.append(await self._producer.send_batch(builder, topic, partition=partition))


async def main(job: Job) -> None:
    """Process `job` until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await Floor(job).run(stopping)


if __name__ == "__main__":
    uvloop.run(main(take()))
