"""One task's transactional producer: fence, commit, discard; never reused after an error."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from aiokafka.errors import InvalidProducerEpoch, ProducerFenced, TopicAuthorizationFailedError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from fleet.lane.bounded import bounded
from fleet.lane.clients import discard, new_producer
from fleet.lane.errors import Fenced, Lost, NotAuthorized

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Mapping

    from aiokafka import AIOKafkaProducer

    from fleet.lane.batches import Batches
    from fleet.lane.config import LaneConfig

Written: TypeAlias = dict[tuple[str, int], int]

Offset: TypeAlias = int | OffsetAndMetadata
FENCES = (ProducerFenced, InvalidProducerEpoch)


class Transactor:
    """The producer of one task in one hold on its partition."""

    def __init__(self, config: LaneConfig, group: str, transactional_id: str) -> None:
        self._config = config
        self._group = group
        self._id = transactional_id
        self._producer = new_producer(config, transactional_id)

    async def fence(self) -> None:
        """Take the transactional id: fences its older holder and aborts what that left open.

        Only after this may offsets and state be read.

        Raises:
            Lost: It did not end within the limit.
        """
        await bounded(self._start(), self._config.acquire_limit_s, f"fencing {self._id}")

    async def _start(self) -> None:
        await self._producer.start()
        await self._producer._txn_manager.wait_for_pid()  # noqa: SLF001 - no public equivalent

    async def commit(
        self, batches: Batches, offsets: Mapping[TopicPartition, Offset], group: str | None = None
    ) -> Written:
        """Write `batches` and the source `offsets`, of the task's own group or `group`, in one transaction.

        Returns only after Kafka confirmed the commit. Any other end means that the outcome
        is unknown: this object must be discarded.

        Returns:
            Offset after the last record written, by (topic, partition); without those that the
            broker did not tell.

        Raises:
            NotAuthorized: Kafka does not let this producer write to some of the topics.
            Fenced: Another producer has the transactional id (or the coordinator is out of reach,
                which the client reports in the same way).
            Lost: Anything else.
        """
        try:
            return await bounded(
                self._commit(batches, offsets, group or self._group),
                self._config.transaction_limit_s,
                f"transaction of {self._id}",
            )
        except Lost:
            raise
        except FENCES as error:
            raise Fenced(f"{self._id} is fenced") from error
        except Exception as error:
            cause = _ended_by(self._producer) or error
            if isinstance(cause, TopicAuthorizationFailedError):
                raise not_authorized(cause) from error
            raise Lost(f"transaction of {self._id} failed: {type(error).__name__}: {error}") from error

    async def _commit(
        self, batches: Batches, offsets: Mapping[TopicPartition, Offset], group: str
    ) -> Written:
        producer = self._producer
        await producer.begin_transaction()
        written = await deliver(producer, batches)
        if offsets:
            await producer.send_offsets_to_transaction(dict(offsets), group)
        await producer.commit_transaction()
        return written

    def discard(self) -> None:
        """Give the producer up in the background."""
        discard(self._producer)


async def deliver(producer: AIOKafkaProducer, batches: Batches) -> Written:
    """Send `batches`, and await and check the delivery of each.

    Raises:
        Exception: One of them was not delivered.
    """
    deliveries = []
    for (topic, partition), builders in batches.by_partition.items():
        for builder in builders:
            delivery = await producer.send_batch(builder, topic, partition=partition)
            delivery.add_done_callback(_noted)
            deliveries.append((delivery, builder.record_count()))
    await _all_done([delivery for delivery, _ in deliveries], producer)
    written: Written = {}
    for delivery, records in deliveries:
        # The client commits although a batch failed (engine trap 1): check each one first.
        sent = await delivery
        if sent.offset >= 0:  # Not told of a batch that had arrived before the client tried again.
            written[sent.topic, sent.partition] = sent.offset + records
    return written


async def _all_done(deliveries: list[Future[Any]], producer: AIOKafkaProducer) -> None:
    """Wait until all have ended, one has failed, or the transaction has.

    Where Kafka refuses a transaction, the client may tell the transaction alone.
    """
    if not deliveries:
        return
    delivered = asyncio.gather(*deliveries)
    delivered.add_done_callback(_noted)
    waiter = _transaction(producer)
    waits: set[Future[Any]] = {delivered} if waiter is None else {delivered, waiter}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if delivered.done():
        delivered.result()
    elif waiter is not None:
        waiter.result()


def _transaction(producer: AIOKafkaProducer) -> Future[Any] | None:
    """Return the end of the transaction under way, None where the producer has none."""
    manager = producer._txn_manager  # noqa: SLF001 - no public way to learn of it
    return None if manager is None else manager._transaction_waiter  # noqa: SLF001


def _ended_by(producer: AIOKafkaProducer) -> BaseException | None:
    """Return the error that ended the transaction, whatever the client raised after it."""
    transaction = _transaction(producer)
    if transaction is None or not transaction.done() or transaction.cancelled():
        return None
    return transaction.exception()


def not_authorized(error: TopicAuthorizationFailedError) -> NotAuthorized:
    """Return the client's error as the lane's: it names one topic or several."""
    named = error.args[0] if error.args else ()
    return NotAuthorized(frozenset([named] if isinstance(named, str) else named))


def _noted(delivery: Future[Any]) -> None:
    """Take note of a delivery's end, or the loop reports one that was given up with its producer."""
    if not delivery.cancelled():
        delivery.exception()
