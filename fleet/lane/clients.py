"""The Kafka clients of a task, configured for short transactions.

Sources: Apache Kafka KIP-98 and KIP-890; aiokafka 0.14.0 (pinned, see tests/regression).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.producer import sender
from aiokafka.producer.transaction_manager import TransactionState

from fleet.lane.bounded import in_background
from fleet.lane.errors import Lost
from fleet.lane.fetched import use_light_records

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from aiokafka.structs import TopicPartition

    from fleet.lane.config import LaneConfig

# Back-to-back transactions: with the library's 20 ms the 90th percentile of a commit was
# 28 ms, with 2 ms it was 8 ms (docs/adr/0002-exactly-once-lane.md).
sender.BACKOFF_OVERRIDE = 0.002

use_light_records()

RETRY_BACKOFF_MS = 5
MAX_BATCH_BYTES = 512 * 1024
MAX_REQUEST_BYTES = 16 * 1024 * 1024
STOP_LIMIT_S = 3.0


class _QuietRetriable(logging.Filter):
    """Drop the line about produce errors that Kafka expects to be retried (KIP-890)."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "retrying. Error" not in record.msg and "retrying" not in str(record.msg)[-40:]


logging.getLogger("aiokafka.producer.sender").addFilter(_QuietRetriable())


class _AddPartitions(sender.AddPartitionsToTxnHandler):  # type: ignore[misc] # the library has no types
    """Ends the batches whose partitions Kafka did not let into the transaction; the client sends them.

    While the transaction before is still being ended Kafka takes them for records of that one, and
    commits them with it, without their offsets.
    """

    def handle_response(self, resp: Any) -> Any:
        """Take note of Kafka's answer; return how long to wait before it is asked again, if it is."""
        manager = self._sender._txn_manager  # noqa: SLF001 - no public way to any of this
        pending = set(manager.partitions_to_add())
        back_off_s = super().handle_response(resp)
        if manager.state is TransactionState.ABORTABLE_ERROR:
            waiting = self._sender._message_accumulator._batches  # noqa: SLF001
            error = manager.wait_for_transaction_end().exception()
            for batch in [batch for tp in pending for batch in waiting.pop(tp, ())]:
                batch.failure(error)
        return back_off_s


sender.AddPartitionsToTxnHandler = _AddPartitions


def new_producer(config: LaneConfig, transactional_id: str | None) -> AIOKafkaProducer:
    """Return an unstarted producer for one task: transactional, or idempotent without an id."""
    return AIOKafkaProducer(
        bootstrap_servers=config.bootstrap_servers,
        transactional_id=transactional_id,
        enable_idempotence=True,
        transaction_timeout_ms=int(config.transaction_timeout_s * 1000),
        acks="all",
        retry_backoff_ms=RETRY_BACKOFF_MS,
        request_timeout_ms=int(config.request_timeout_s * 1000),
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=MAX_REQUEST_BYTES,
    )


def new_reader(
    config: LaneConfig, *, max_fetch_bytes: int = 2 << 20, max_wait_ms: int = 500
) -> AIOKafkaConsumer:
    """Return an unstarted read_committed consumer without a group and without a reset policy.

    Without a policy a position that Kafka no longer has is an error to decide on, never a
    silent jump to either end.

    Args:
        config: How to reach Kafka.
        max_fetch_bytes: Bytes of a partition in one answer.
        max_wait_ms: How long Kafka may hold back an answer at the end of a topic. It answers no sooner for a
            transaction that is committed meanwhile.
    """
    return AIOKafkaConsumer(
        bootstrap_servers=config.bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=max_wait_ms,
        max_partition_fetch_bytes=max_fetch_bytes,
        fetch_max_bytes=max(max_fetch_bytes, 52428800),
        request_timeout_ms=int(config.request_timeout_s * 1000),
        retry_backoff_ms=20,
    )


async def assign_at(
    reader: AIOKafkaConsumer, at: Mapping[TopicPartition, int], paused: Collection[TopicPartition] = ()
) -> None:
    """Let `reader` read from exactly these offsets: the one way that anything here is assigned.

    Those in `paused` are not read before they are resumed.

    Raises:
        Lost: It stands elsewhere.
    """
    reader.assign(list(at))
    for tp, offset in at.items():
        # Explicit, with nothing awaited since the assignment: seek_to_beginning loses to a
        # reset in flight and then reads nothing (engine trap 8).
        reader.seek(tp, offset)
    reader.pause(*paused)
    for tp, offset in at.items():
        if await reader.position(tp) != offset:
            where = f"{tp.topic}/{tp.partition}"
            raise Lost(f"reader of {where} is not at the beginning of what it is to read, offset {offset}")


def discard(client: AIOKafkaProducer | AIOKafkaConsumer | None) -> None:
    """Stop a client in the background, bounded; it is never used again."""
    if client is not None:
        in_background(_stop(client))


async def _stop(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    stopping = asyncio.ensure_future(client.stop())
    done, _ = await asyncio.wait({stopping}, timeout=STOP_LIMIT_S)
    if not done:
        # A producer whose coordinator is gone waits for its sender for ever: cut it off.
        stopping.cancel()
        task = getattr(getattr(client, "_sender", None), "sender_task", None)
        if task is not None:
            task.cancel()
        client._closed = True  # noqa: SLF001 - no public way to give a client up
        inner = getattr(client, "client", None) or client._client  # noqa: SLF001
        in_background(inner.close())
    elif not stopping.cancelled():
        stopping.exception()
