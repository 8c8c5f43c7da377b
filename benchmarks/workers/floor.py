"""The bare client in a plain loop, at least once: what the engines could at most come near."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from orjson import dumps

from benchmarks.workers.charge import read_charge
from benchmarks.workers.job import ROUTES, RULE_HEADER, WINDOWS, Job, take
from benchmarks.workers.plain import Clock, router

FETCH_BYTES = 2 << 20
FETCH_RECORDS = 8_000
FETCH_TIMEOUT_MS = 250
BATCH_BYTES = 512 * 1024

Handle = Callable[[int, list[Any]], Awaitable[None]]


class Floor:
    """Fetch, decode, write in batches, await the deliveries, commit; and again."""

    def __init__(self, job: Job) -> None:
        self._job = job
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
        self._job.tell_ready()
        handle = self._handle()
        try:
            while not stopping.is_set():
                fetched = await consumer.getmany(timeout_ms=FETCH_TIMEOUT_MS, max_records=FETCH_RECORDS)
                if fetched:
                    await self._process(handle, fetched)
                    await consumer.commit({tp: found[-1].offset + 1 for tp, found in fetched.items()})
        finally:
            await self._producer.stop()
            await consumer.stop()

    def _handle(self) -> Handle:
        if self._job.case in ROUTES:
            return self._route()
        return self._windowed() if self._job.case in WINDOWS else self._keyed_sum

    async def _process(self, handle: Handle, fetched: dict[TopicPartition, list[Any]]) -> None:
        for tp, found in fetched.items():
            await handle(tp.partition, found)
        for delivery in self._deliveries:
            await delivery
        self._deliveries.clear()

    def _route(self) -> Handle:
        route = router(self._job)

        async def handle(partition: int, found: list[Any]) -> None:
            outputs: dict[str, list[Any]] = {rule.topic: [] for rule in self._job.rules}
            for record in found:
                for topic, header in route(record.value, record.headers):
                    headers = [*record.headers, (RULE_HEADER, header)]
                    outputs[topic].append((record.key, record.value, headers))
            for topic, rows in outputs.items():
                await self._write(topic, partition, rows)

        return handle

    async def _keyed_sum(self, partition: int, found: list[Any]) -> None:
        rows, touched = self._rows, set()
        for record in found:
            charge = read_charge(record.value)
            member = charge.member_id
            count, cents = rows.get(member, (0, 0))
            rows[member] = (count + 1, cents + charge.charge_cents)
            touched.add(member)
        await self._write_rows(partition, touched)

    def _windowed(self) -> Handle:
        clocks = {partition: Clock(self._job.windows) for partition in range(self._job.partitions)}

        async def handle(partition: int, found: list[Any]) -> None:
            rows, touched, clock = self._rows, set(), clocks[partition]
            for record in found:
                charge = read_charge(record.value)
                for start in clock.open(charge.event_time_ms):
                    key = f"{charge.member_id}/{start}"
                    count, cents = rows.get(key, (0, 0))
                    rows[key] = (count + 1, cents + charge.charge_cents)
                    touched.add(key)
            await self._write_rows(partition, touched)

        return handle

    async def _write_rows(self, partition: int, touched: set[str]) -> None:
        none: list[tuple[str, bytes]] = []
        rows = ((key.encode(), dumps(self._rows[key]), none) for key in touched)
        await self._write(self._job.changelog, partition, rows)

    async def _write(self, topic: str, partition: int, records: Iterable[tuple[bytes, bytes, Any]]) -> None:
        builder = self._producer.create_batch()
        for key, value, headers in records:
            if builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
                self._deliveries.append(await self._producer.send_batch(builder, topic, partition=partition))
                builder = self._producer.create_batch()
                builder.append(timestamp=None, key=key, value=value, headers=headers)
        if builder.record_count():
            self._deliveries.append(await self._producer.send_batch(builder, topic, partition=partition))


async def main(job: Job) -> None:
    """Process `job` until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await Floor(job).run(stopping)


if __name__ == "__main__":
    uvloop.run(main(take()))
