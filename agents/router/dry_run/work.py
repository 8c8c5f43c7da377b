"""A dry-run from its job to its report."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

from agents.router.domain.timeline import Timeline
from agents.router.dry_run.comparison import Comparison
from agents.router.dry_run.decoding import WithDrafts
from agents.router.dry_run.job import Progress
from agents.router.dry_run.reading import FETCH_BYTES, Reading, Span, spans_of
from fleet.errors import TransientError
from fleet.lane.bounded import bounded
from fleet.lane.clients import STOP_LIMIT_S, new_reader
from fleet.lane.config import LaneConfig
from fleet.lane.errors import Lost
from fleet.lane.reading import kafka_trouble
from fleet.lane.topics import Topics
from schemas.registry import Registry
from tables.routes.rule import parse_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agents.router.dry_run.job import Document, Job
    from fleet.lane import Record
    from fleet.settings import Settings

TELL_EVERY_S: Final = 0.5
SCHEMAS_LIMIT_S: Final = 60.0
SCHEMAS_PAUSE_S: Final = 0.5


async def work(settings: Settings, job: Job, tell: Callable[[Progress], None]) -> Document:
    """Do a job, and return its report as JSON values.

    Args:
        settings: How to reach Kafka and the registry.
        job: The job.
        tell: Is told of progress about twice a second.

    Raises:
        EventfleetError: It cannot be done; says why.
    """
    config = LaneConfig.of(settings)
    registry = Registry(settings.registry)
    reader = new_reader(config, max_fetch_bytes=FETCH_BYTES)
    try:
        await bounded(reader.start(), config.acquire_limit_s, "the connection to Kafka")
        baseline, draft = (
            Timeline.of((parse_rule(each) for each in rules), job.offset)
            for rules in (job.baseline, job.draft)
        )
        comparison = Comparison(baseline, draft, WithDrafts(registry, job.schemas))
        spans = await spans_of(config, reader, job.range)
        reading = Reading(reader, spans, job.range.sample)
        cpu_s = time.process_time()
        seconds = await _compare(reading, comparison, tell)
        cpu_s = time.process_time() - cpu_s
        unknown = await _unknown(config, comparison.topics)
        return {
            **_read(job, spans, reading, seconds),
            "cpu_s": round(cpu_s, 3),
            **comparison.report(),
            "unknown_topics": unknown,
        }
    except (KafkaError, Lost) as error:
        raise kafka_trouble(config, error) from error
    finally:
        await asyncio.wait({asyncio.ensure_future(reader.stop())}, timeout=STOP_LIMIT_S)
        await registry.close()


async def _compare(reading: Reading, comparison: Comparison, tell: Callable[[Progress], None]) -> float:
    """Compare all events, and return the seconds that took."""
    started = told = time.monotonic()
    tell(Progress(total=reading.total))
    async for records in reading.pieces():
        await _prepare(comparison, records)
        comparison.add(records)
        now = time.monotonic()
        if now - told >= TELL_EVERY_S:
            told = now
            tell(_progress(reading, comparison, now - started))
    seconds = time.monotonic() - started
    tell(_progress(reading, comparison, seconds))
    return seconds


def _progress(reading: Reading, comparison: Comparison, seconds: float) -> Progress:
    return Progress(
        done=reading.done, total=reading.total, events=comparison.events, events_per_s=_rate(reading, seconds)
    )


def _rate(reading: Reading, seconds: float) -> float:
    return round(reading.read / seconds, 1) if seconds > 0 else 0.0


async def _prepare(comparison: Comparison, records: Sequence[Record]) -> None:
    """Look schemas up, until the registry is sure of those that it does not know."""
    until = time.monotonic() + SCHEMAS_LIMIT_S
    while True:
        try:
            await comparison.prepare(records)
        except TransientError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(SCHEMAS_PAUSE_S)
        else:
            return


async def _unknown(config: LaneConfig, topics: list[str]) -> list[str]:
    """Return the targets that do not exist: copies for them would be dead letters."""
    known = Topics(config)
    try:
        await known.ensure(topics)
        return [topic for topic in topics if known.get(topic) is None]
    finally:
        await known.close()


def _read(job: Job, spans: Sequence[Span], reading: Reading, seconds: float) -> dict[str, Any]:
    return {
        "ranges": [
            {"topic": span.topic, "partition": span.partition, "from": span.start, "until": span.end}
            for span in spans
        ],
        "sample": job.range.sample,
        "read": reading.read,
        "seconds": round(seconds, 3),
        "events_per_s": _rate(reading, seconds),
        "config_offset": job.offset,
    }
