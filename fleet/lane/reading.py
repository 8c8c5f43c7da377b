"""Reading topics from here to their end, as of now: committed records only, never for ever."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import TopicPartition

from fleet.errors import TransientError
from fleet.lane.bounded import bounded, in_background
from fleet.lane.clients import STOP_LIMIT_S, assign_at, new_reader
from fleet.lane.errors import Lost
from fleet.lane.topics import Topics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from aiokafka import AIOKafkaConsumer, ConsumerRecord

    from fleet.lane.config import LaneConfig

FETCH_TIMEOUT_MS = 200
MAX_RECORDS = 5_000
NO_PROGRESS_LIMIT_S = 30.0


async def read_all(
    config: LaneConfig, topics: list[str], start: Mapping[TopicPartition, int] | None = None
) -> list[ConsumerRecord]:
    """Return the records of `topics` up to their ends now, in order within each partition.

    Args:
        config: How to reach Kafka.
        topics: Topics to read, all partitions.
        start: First offset to read by partition; the first that Kafka still has where it gives none.

    Raises:
        FatalError: A topic does not exist.
        TransientError: Kafka does not answer, or gives nothing before the end.
    """
    async with aclosing(read(config, topics, start)) as records:
        return [record async for record in records]


async def read(
    config: LaneConfig, topics: list[str], start: Mapping[TopicPartition, int] | None = None
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield what `read_all` returns, one by one, for topics that need not fit in memory."""
    async with open_reader(config) as reader:
        tps = await _partitions(config, topics)
        begins, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
        at = {tp: max(begins[tp], (start or {}).get(tp, 0)) for tp in tps}
        await assign_at(reader, at)
        moved_at = time.monotonic()
        while behind := [tp for tp in tps if await reader.position(tp) < ends[tp]]:
            fetched = await reader.getmany(*behind, timeout_ms=FETCH_TIMEOUT_MS, max_records=MAX_RECORDS)
            for tp, records in fetched.items():
                for record in records:
                    # The end is of the start of the reading: what came after it is another reading's.
                    if record.offset < ends[tp]:
                        yield record
                moved_at = time.monotonic()
            if time.monotonic() - moved_at > NO_PROGRESS_LIMIT_S:
                where = f"{behind[0].topic}/{behind[0].partition}"
                raise TransientError(f"{where} gives nothing before its end", hint="try again")


async def read_one(config: LaneConfig, topic: str, partition: int, offset: int) -> ConsumerRecord | None:
    """Return the record at these coordinates, or None where Kafka has no committed record there.

    Raises:
        FatalError: The topic does not exist.
        TransientError: Kafka does not answer.
    """
    tp = TopicPartition(topic, partition)
    async with open_reader(config) as reader:
        if tp not in await _partitions(config, [topic]):
            return None
        begins, ends = await reader.beginning_offsets([tp]), await reader.end_offsets([tp])
        if not begins[tp] <= offset < ends[tp]:
            return None
        at = {tp: offset}
        await assign_at(reader, at)
        deadline = time.monotonic() + NO_PROGRESS_LIMIT_S
        while await reader.position(tp) <= offset and time.monotonic() < deadline:
            for record in (await reader.getmany(tp, timeout_ms=FETCH_TIMEOUT_MS, max_records=1)).get(tp, []):
                return record if record.offset == offset else None
    return None


async def end_offsets(config: LaneConfig, topics: list[str]) -> dict[TopicPartition, int]:
    """Return the last stable offset of each partition of `topics`.

    Raises:
        FatalError: A topic does not exist.
        TransientError: Kafka does not answer.
    """
    async with open_reader(config) as reader:
        tps = await _partitions(config, topics)
        return dict(await reader.end_offsets(tps)) if tps else {}


@asynccontextmanager
async def open_reader(config: LaneConfig) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer of committed records without a group, and stop it, bounded.

    Raises:
        TransientError: Kafka does not answer, or refuses something in the block.
    """
    reader = new_reader(config)
    try:
        await bounded(reader.start(), config.acquire_limit_s, "the connection to Kafka")
        yield reader
    except (KafkaError, Lost) as error:
        raise kafka_trouble(config, error) from error
    finally:
        await asyncio.wait({in_background(reader.stop())}, timeout=STOP_LIMIT_S)


def kafka_trouble(config: LaneConfig, error: Exception) -> TransientError:
    """Return a failure of the Kafka client as people read it."""
    if isinstance(error, KafkaConnectionError | Lost):
        message = f"Kafka at {config.bootstrap_servers} does not answer"
        return TransientError(
            message, hint="start it with `eventfleet stack up`, or set EVENTFLEET_BOOTSTRAP_SERVERS"
        )
    return TransientError(f"Kafka refused ({type(error).__name__}: {error})", hint="try again")


async def _partitions(config: LaneConfig, topics: list[str]) -> list[TopicPartition]:
    known = Topics(config)
    try:
        counts = await known.require(topics, by="reading")
    finally:
        await known.close()
    return [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]
