"""Orders to aggregate: out of order, some late, one customer ordering most, over a day of 23 hours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

START: Final = datetime(2025, 3, 8, tzinfo=UTC)
"""The day before clocks go forward in New York."""
SPAN_MS: Final = 48 * 3_600_000
SKEW_MS: Final = 3_600_000
LATE_SHARE: Final = 0.05
CLOSING: Final = datetime(2025, 9, 1, tzinfo=UTC)
"""Event time by which every window of the orders has closed."""
CLOSER: Final = "closer"
"""Customer of the orders of then."""

SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "article", "type": "string"},
        {"name": "customer", "type": "string"},
        {"name": "region", "type": ["null", "string"], "default": None},
        {
            "name": "amount",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
        },
        {
            "name": "fee",
            "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 4}],
            "default": None,
        },
        {"name": "items", "type": "long"},
        {"name": "weight", "type": "double"},
        {"name": "score", "type": ["null", "double"], "default": None},
        {"name": "express", "type": "boolean"},
        {"name": "token", "type": "bytes"},
        {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {
            "name": "shipped_at",
            "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}],
            "default": None,
        },
    ],
}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_MS: Final = 60_000
_REGIONS: Final = (None, "north", "south", "österreich")
_CUSTOMERS: Final = 25
_HOT_SHARE: Final = 0.4
_ROUND_SHARE: Final = 0.5  # on the minute, where windows begin and end
_SPECIAL_SHARE: Final = 0.002


@dataclass(frozen=True)
class Logged:
    """An order and its place in the log.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        offset: Its place there.
        order: Its fields, as they are written in Avro.
    """

    topic: str
    partition: int
    offset: int
    order: dict[str, Any]

    @property
    def time_ms(self) -> int:
        """Its event time, epoch milliseconds."""
        time: datetime = self.order["placed_at"]
        return (time - _EPOCH) // timedelta(milliseconds=1)


def orders(
    count: int,
    seed: int,
    *,
    topics: Sequence[str] = ("shop.orders",),
    partitions: int = 4,
    start: datetime = START,
    first_offset: int = 0,
) -> list[Logged]:
    """Return orders in the sequence in which they are written, so each partition in order of offset.

    Their times go on over two days, each up to an hour before or after its turn, and one in twenty is hours
    or days late. Last of all, each partition has one order of long after, which closes the windows.

    Args:
        count: How many orders, beside the last ones.
        seed: Equal seeds give equal orders.
        topics: Topics that they are spread over.
        partitions: Partitions of each topic.
        start: Event time that they begin about.
        first_offset: Offset of the first order in each partition.
    """
    random = Random(seed)
    places = [(topic, partition) for topic in topics for partition in range(partitions)]
    written = [
        (random.choice(places), _order(random, number, start + _time(random, number / count)))
        for number in range(count)
    ]
    closing = CLOSING + (start - START)
    last = [{**_order(random, count + number, closing), "customer": CLOSER} for number in range(len(places))]
    written += zip(places, last, strict=True)
    return logged(written, first_offset)


def logged(written: Iterable[tuple[tuple[str, int], dict[str, Any]]], first_offset: int = 0) -> list[Logged]:
    """Return orders with their offsets, in the sequence in which they are written to topic and partition."""
    offsets: dict[tuple[str, int], int] = {}
    found = []
    for place, order in written:
        offset = offsets.get(place, first_offset)
        offsets[place] = offset + 1
        found.append(Logged(*place, offset, order))
    return found


def _time(random: Random, turn: float) -> timedelta:
    moved_ms = random.randrange(-SKEW_MS, SKEW_MS + 1)
    if random.random() < LATE_SHARE:
        moved_ms -= random.randrange(3 * SKEW_MS, 30 * SKEW_MS)
    time_ms = int(turn * SPAN_MS) + moved_ms
    if random.random() < _ROUND_SHARE:
        time_ms -= time_ms % _MINUTE_MS
    return timedelta(milliseconds=time_ms)


def _order(random: Random, number: int, time: datetime) -> dict[str, Any]:
    hot = random.random() < _HOT_SHARE
    return {
        "order_id": f"{number:06d}-{random.getrandbits(32):08x}",
        "article": f"a{random.choice([random.randrange(20), *(random.getrandbits(40),) * 3])}",
        "customer": "hot" if hot else f"c{random.randrange(_CUSTOMERS)}",
        "region": random.choice(_REGIONS),
        "amount": Decimal(random.randrange(-10_000, 1_000_000)).scaleb(-2),
        "fee": random.choice([None, Decimal(random.randrange(10**8)).scaleb(-4)]),
        "items": random.choice([random.randrange(1, 20), random.getrandbits(56)]),
        "weight": random.uniform(-1, 1) * 10 ** random.randrange(-9, 9),
        "score": _score(random),
        "express": random.random() < 0.3,
        "token": random.randbytes(2),
        "placed_at": time,
        "shipped_at": random.choice([None, time + timedelta(microseconds=random.randrange(10**12))]),
    }


def _score(random: Random) -> float | None:
    if random.random() < _SPECIAL_SHARE:
        return random.choice([math.nan, math.inf, -math.inf])
    return random.choice([None, 0.0, random.lognormvariate(0, 2), -random.lognormvariate(0, 2)])
