"""The input: claim events of about 258 bytes of JSON, the same ones for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from zlib import crc32

import msgspec
import orjson
from aiokafka import AIOKafkaProducer

from fleet.lane.partitioner import partition_of

PARTITIONS = 4
MEMBERS = 5_000
SEED = 7
ROUTES: Mapping[str, str] = {"TX": "a", "OH": "a", "FL": "b", "CA": "b"}
"""Suffix of the target topic by the claim's state."""

_STATES = tuple(ROUTES)
_FORMS = ("837P", "837I", "837D")
_BATCH_BYTES = 256 * 1024


class Claim(NamedTuple):
    """One event, as published, with what the checks need of it."""

    partition: int
    key: bytes
    value: bytes
    member: str
    state: str
    charge_cents: int


class Expected(msgspec.Struct, frozen=True):
    """What must come out of a part of the input.

    Attributes:
        routed: Count and sum of the values' CRC-32 by target suffix.
        sums: Count and sum of charges, in cents, by member.
    """

    routed: dict[str, tuple[int, int]]
    sums: dict[str, tuple[int, int]]


def claims(count: int) -> Iterator[Claim]:
    """Yield the first `count` claims, in publishing order."""
    rnd = random.Random(SEED)
    keys = [b"M%06d" % number for number in range(MEMBERS)]
    partitions = [partition_of(key, PARTITIONS) for key in keys]
    members = [key.decode() for key in keys]
    for number in range(count):
        at = int(rnd.random() * MEMBERS)
        state = _STATES[int(rnd.random() * len(_STATES))]
        cents = 1_000 + int(rnd.random() * 100_000)
        value = orjson.dumps(
            {
                "claim_id": f"C{number:09d}",
                "member_id": members[at],
                "state": state,
                "form": _FORMS[number % len(_FORMS)],
                "charge_cents": cents,
                "service_date": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}",
                "provider_npi": f"{1_000_000_000 + number % 400}",
                "payer": f"P{number % 40:04d}",
                "diagnoses": ["E11.9", "I10"],
                "procedure": "99213",
                "source": f"claims-{number // 1000:06d}.edi",
                "position": number % 1000,
            }
        )
        yield Claim(partitions[at], keys[at], value, members[at], state, cents)


def expected(count: int, starts: Mapping[int, int]) -> Expected:
    """Return what must come of `count` claims when partition p is read from offset ``starts[p]``."""
    offsets: Counter[int] = Counter()
    routed: dict[str, tuple[int, int]] = dict.fromkeys(ROUTES.values(), (0, 0))
    sums: dict[str, tuple[int, int]] = {}
    for claim in claims(count):
        offset = offsets[claim.partition]
        offsets[claim.partition] += 1
        if offset < starts[claim.partition]:
            continue
        target = ROUTES[claim.state]
        events, checksum = routed[target]
        routed[target] = (events + 1, checksum + crc32(claim.value))
        events, cents = sums.get(claim.member, (0, 0))
        sums[claim.member] = (events + 1, cents + claim.charge_cents)
    return Expected(routed, sums)


async def publish(bootstrap_servers: str, topic: str, count: int) -> dict[int, int]:
    """Publish the first `count` claims; returns how many went to each partition."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, max_batch_size=_BATCH_BYTES, enable_idempotence=True
    )
    await producer.start()
    sent: Counter[int] = Counter()
    builders = {partition: producer.create_batch() for partition in range(PARTITIONS)}
    deliveries = []
    try:
        for claim in claims(count):
            sent[claim.partition] += 1
            builder = builders[claim.partition]
            if builder.append(timestamp=None, key=claim.key, value=claim.value) is None:
                deliveries.append(await producer.send_batch(builder, topic, partition=claim.partition))
                builder = builders[claim.partition] = producer.create_batch()
                builder.append(timestamp=None, key=claim.key, value=claim.value)
        for partition, builder in builders.items():
            deliveries.append(await producer.send_batch(builder, topic, partition=partition))
        for delivery in deliveries:
            await delivery
    finally:
        await producer.stop()
    return dict(sent)
