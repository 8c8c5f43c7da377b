"""Publishes the input of a benchmark, and keeps an account of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaProducer

_BATCH_BYTES = 256 * 1024
_MAX_IN_FLIGHT = 64


class Event(Protocol):
    """One record to publish."""

    @property
    def partition(self) -> int:
        """Where it belongs."""
        ...

    @property
    def key(self) -> bytes:
        """Its key."""
        ...

    @property
    def value(self) -> bytes:
        """Its value."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Its headers."""
        ...


EventT_contra = TypeVar("EventT_contra", bound=Event, contravariant=True)
EventT = TypeVar("EventT", bound=Event)


class Account(Protocol[EventT_contra]):
    """What is told of each event."""

    def add(self, event: EventT_contra, /) -> None:
        """Account for the next event of its partition."""


async def publish(
    bootstrap_servers: str, topic: str, events: Iterable[EventT], account: Account[EventT]
) -> None:
    """Publish `events` in their order, each to its partition, and account for them."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, max_batch_size=_BATCH_BYTES, enable_idempotence=True
    )
    await producer.start()
    writer = _Writer(producer, topic)
    try:
        for event in events:
            account.add(event)
            if not writer.fits(event):
                await writer.send(event.partition)
                writer.fits(event)
        await writer.flush()
    finally:
        await producer.stop()


class _Writer:
    """Fills a batch a partition."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._builders: dict[int, Any] = {}
        self._deliveries: list[Any] = []

    def fits(self, event: Event) -> bool:
        builder = self._builders.get(event.partition)
        if builder is None:
            builder = self._builders[event.partition] = self._producer.create_batch()
        added = builder.append(timestamp=None, key=event.key, value=event.value, headers=list(event.headers))
        return added is not None

    async def send(self, partition: int) -> None:
        builder = self._builders.pop(partition)
        delivery = await self._producer.send_batch(builder, self._topic, partition=partition)
        self._deliveries.append(delivery)
        if len(self._deliveries) >= _MAX_IN_FLIGHT:
            await self._delivered()

    async def flush(self) -> None:
        for partition in list(self._builders):
            await self.send(partition)
        await self._delivered()

    async def _delivered(self) -> None:
        for delivery in self._deliveries:
            await delivery
        self._deliveries.clear()
