"""Publishing raw files as a source system would."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from aiokafka import AIOKafkaProducer

from agents.normalizer.samples import generate, malformed, other_transactions, sample_837p
from fleet.errors import FatalError
from fleet.settings import Settings
from schemas.catalogue import load_catalogue
from schemas.envelope import EventAttributes

TOPIC = "raw.x12"
SAMPLES = "x12-samples"
GENERATED_DAYS = 3
RANDOM_BYTES = 2048
OVERHEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file to publish; `good` says whether its claims are expected to load."""

    system: str
    name: str
    content: bytes
    good: bool


def real_files() -> list[RawFile]:
    """Return the sample files, oldest first: good claims, other transactions, malformed, random bytes."""
    good = [RawFile(SAMPLES, each.name, each.content, good=True) for each in sample_837p()]
    bad = [
        RawFile(SAMPLES, each.name, each.content, good=False)
        for each in (*other_transactions(), *malformed())
    ]
    noise = random.Random(0).randbytes(RANDOM_BYTES)  # noqa: S311 - bytes that are no file
    return [*good, *bad, RawFile(SAMPLES, "random.bin", noise, good=False)]


def generated_files(claims: int, seed: int) -> Iterator[RawFile]:
    """Return generated files whose transactions were made over the last three days."""
    start: date = datetime.now(UTC).date() - timedelta(days=GENERATED_DAYS)
    for each in generate(claims, seed=seed, start=start):
        yield RawFile(each.system, each.name, each.content, good=True)


async def publish(config: Settings, files: Iterable[RawFile]) -> AsyncIterator[RawFile]:
    """Publish files to ``raw.x12`` and yield each one that Kafka has acknowledged.

    Raises:
        FatalError: A file is over the topic's size limit.
    """
    limit = next(spec.max_message_bytes for spec in load_catalogue().specs() if spec.name == TOPIC)
    producer = AIOKafkaProducer(
        bootstrap_servers=config.kafka, enable_idempotence=True, max_request_size=limit, linger_ms=5
    )
    await producer.start()
    try:
        for file in files:
            if len(file.content) + OVERHEAD_BYTES > limit:
                message = f"{file.name} has {len(file.content)} bytes, over the limit of {TOPIC} ({limit})"
                raise FatalError(message, hint="split it into smaller interchanges")
            await producer.send_and_wait(
                TOPIC, file.content, key=file.system.encode(), headers=list(_attributes(file).headers())
            )
            yield file
    finally:
        await producer.stop()


def _attributes(file: RawFile) -> EventAttributes:
    return EventAttributes(
        id=hashlib.blake2b(file.content, digest_size=16, key=file.name.encode()[:64]).hexdigest(),
        source=f"/systems/{file.system}",
        type=TOPIC,
        time=datetime.now(UTC),
        subject=file.name,
    )
