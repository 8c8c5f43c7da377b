"""The input of the tables' cases: JSON events of about 260 bytes, the same ones for the same count."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import orjson

from benchmarks.workers.aggregation import Window
from fleet.lane.partitioner import partition_of

MEMBERS = 5_000
SEED = 7
BASE_MS = 1_767_225_600_000
"""Event time of the first event, about: 2026-01-01. It moves on by a millisecond an event."""
JITTER_MS = 2_500
"""Events are out of order by up to twice this, less than the grace of the windows: none is late."""

_STATES = ("TX", "OH", "FL", "CA")
_FORMS = ("837P", "837I", "837D")

Sums = dict[str, tuple[int, int]]


class Charge(NamedTuple):
    """One event, as published, with what the account needs of it."""

    partition: int
    key: bytes
    value: bytes
    number: int
    cents: int
    event_time_ms: int
    headers: tuple[tuple[str, bytes], ...] = ()


def member(number: int) -> str:
    """Return the id of a member."""
    return f"M{number:07d}"


def charges(count: int, *, partitions: int, members: int = MEMBERS, each: int = 0) -> Iterator[Charge]:
    """Yield `count` events, in publishing order.

    Args:
        count: How many.
        partitions: Of the topic.
        members: How many members they are of, at random.
        each: The first events have the members 0 to ``each`` in turn, so that all are there.
    """
    rnd = random.Random(SEED)
    for number in range(count):
        at = number if number < each else int(rnd.random() * members)
        cents = 1_000 + int(rnd.random() * 100_000)
        time_ms = BASE_MS + number + int(rnd.random() * 2 * JITTER_MS) - JITTER_MS
        name = member(at)
        value = orjson.dumps(
            {
                "claim_id": f"C{number:09d}",
                "member_id": name,
                "state": _STATES[number % len(_STATES)],
                "form": _FORMS[number % len(_FORMS)],
                "charge_cents": cents,
                "event_time_ms": time_ms,
                "provider_npi": f"{1_000_000_000 + number % 400}",
                "payer": f"P{number % 40:04d}",
                "diagnoses": ["E11.9", "I10"],
                "procedure": "99213",
                "source": f"claims-{number // 1000:06d}.edi",
                "position": number % 1000,
            }
        )
        key = name.encode()
        yield Charge(partition_of(key, partitions), key, value, at, cents, time_ms)


class Charged:
    """The account of what was published: what must come of it, from any offset on."""

    def __init__(self, partitions: int) -> None:
        self._numbers = [array("L") for _ in range(partitions)]
        self._cents = [array("L") for _ in range(partitions)]
        self._times_ms = [array("Q") for _ in range(partitions)]

    def add(self, charge: Charge) -> None:
        """Account for the next event of its partition."""
        self._numbers[charge.partition].append(charge.number)
        self._cents[charge.partition].append(charge.cents)
        self._times_ms[charge.partition].append(charge.event_time_ms)

    @property
    def sizes(self) -> dict[int, int]:
        """Events by partition."""
        return {partition: len(numbers) for partition, numbers in enumerate(self._numbers)}

    def sums(self, starts: Mapping[int, int]) -> Sums:
        """Return count and sum in cents by member, of what lies at or after `starts`."""
        found: dict[int, tuple[int, int]] = {}
        for partition, start in starts.items():
            for number, cents in zip(
                self._numbers[partition][start:], self._cents[partition][start:], strict=True
            ):
                before = found.get(number, (0, 0))
                found[number] = (before[0] + 1, before[1] + cents)
        return {member(number): sums for number, sums in found.items()}

    def windows(self, starts: Mapping[int, int], window: Window) -> Sums:
        """Return count and sum in cents by ``<member>/<start of the window>``."""
        found: dict[tuple[int, int], tuple[int, int]] = {}
        for partition, start in starts.items():
            for number, cents, time_ms in zip(
                self._numbers[partition][start:],
                self._cents[partition][start:],
                self._times_ms[partition][start:],
                strict=True,
            ):
                for at in window.starts(time_ms):
                    before = found.get((number, at), (0, 0))
                    found[number, at] = (before[0] + 1, before[1] + cents)
        return {f"{member(number)}/{at}": sums for (number, at), sums in found.items()}
