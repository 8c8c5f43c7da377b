"""The input of the aggregation cases: Avro claims in event time, the same ones for the same count."""

from __future__ import annotations

import random
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, Final, NamedTuple

from fastavro import parse_schema, schemaless_writer

from benchmarks.claims import MEMBERS, TIME, Headers, claim_attributes, claim_fields, claim_headers
from benchmarks.workers.aggregation import CHARGE, Aggregation, Session, Window
from benchmarks.workers.plain import field, holds
from fleet.lane.partitioner import partition_of

EVENT_TYPE: Final = "bench.timed-claims"
PROVIDERS: Final = 10_000
"""Half of them have events in even minutes, the others in odd ones: sessions end."""
BASE_MS: Final = 1_767_225_600_000
"""Event time of the first event, about: 2026-01-01. It moves on by a millisecond an event."""
JITTER_MS: Final = 2_500
"""Events are out of order by up to twice this."""

_SEED: Final = 13
_KINDS: Final = 2 * PROVIDERS
_MINUTE_MS: Final = 60_000

Rows = dict[str, tuple[int, ...]]
"""Results by ``<group>/<start>`` of a window, ``<group>/<start>/<end>`` of a session."""


class TimedClaim(NamedTuple):
    """One event, as published; `kind` says which of the claims made once it is, but for id and time."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers
    kind: int
    time_ms: int


class TimedKind(NamedTuple):
    """A claim made once: `head`, an id, `middle`, an event time and `tail` are its value."""

    key: bytes
    head: bytes
    middle: bytes
    tail: bytes
    attributes: Mapping[str, str]
    fields: Mapping[str, Any]


def timed_kinds(schema: Mapping[str, Any], schema_id: int) -> list[TimedKind]:
    """Return the claims that events are copies of: as many of each provider.

    Args:
        schema: Avro schema ``canonical.claim``.
        schema_id: Its id in the registry.
    """
    rnd = random.Random(_SEED)
    parsed: Any = parse_schema(dict(schema))
    return [_kind(rnd, parsed, schema_id, number) for number in range(_KINDS)]


def _kind(rnd: random.Random, schema: Any, schema_id: int, number: int) -> TimedKind:
    member = f"M{int(rnd.random() * MEMBERS):07d}"
    fields = claim_fields(rnd, member)
    provider = f"{1_000_000_000 + number % PROVIDERS}"
    fields["billing_provider"] = {**fields["billing_provider"], "npi": provider}
    stream = BytesIO()
    stream.write(b"\x00" + schema_id.to_bytes(4, "big"))
    schemaless_writer(stream, schema, fields)
    head, _, rest = stream.getvalue().partition(fields["claim_id"].encode())
    middle, _, tail = rest.partition(_long(int(TIME.timestamp() * 1000)))
    return TimedKind(member.encode(), head, middle, tail, claim_attributes(rnd, EVENT_TYPE), fields)


def _long(number: int) -> bytes:
    """Return a number above 0 as Avro writes it."""
    left, found = number << 1, bytearray()
    while left > 0x7F:  # noqa: PLR2004 - seven bits a byte
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)


def timed_claims(count: int, made: Sequence[TimedKind], *, partitions: int) -> Iterator[TimedClaim]:
    """Yield `count` events, in publishing order."""
    rnd = random.Random(_SEED)
    places = [partition_of(kind.key, partitions) for kind in made]
    shared = [claim_headers(kind.attributes) for kind in made]
    half = len(made) // 2
    for number in range(count):
        at = 2 * int(rnd.random() * half) + number // _MINUTE_MS % 2
        time_ms = BASE_MS + number + int(rnd.random() * 2 * JITTER_MS) - JITTER_MS
        claim_id = b"%032x" % number
        kind = made[at]
        value = b"".join((kind.head, claim_id, kind.middle, _long(time_ms), kind.tail))
        yield TimedClaim(places[at], kind.key, value, (("ce_id", claim_id), *shared[at]), at, time_ms)


class Timed:
    """The account of what was published: what must come of it, from any offset on."""

    def __init__(self, partitions: int, made: Sequence[TimedKind]) -> None:
        self._made = made
        self._kinds = [array("H") for _ in range(partitions)]
        self._times_ms = [array("Q") for _ in range(partitions)]

    def add(self, claim: TimedClaim) -> None:
        """Account for the next event of its partition."""
        self._kinds[claim.partition].append(claim.kind)
        self._times_ms[claim.partition].append(claim.time_ms)

    @property
    def sizes(self) -> dict[int, int]:
        """Events by partition."""
        return {partition: len(found) for partition, found in enumerate(self._kinds)}

    def rows(self, starts: Mapping[int, int], aggregation: Aggregation) -> Rows:
        """Return the results of an aggregation of what lies at or after `starts`."""
        facts = self._facts(starts, [_taken(kind.fields, aggregation) for kind in self._made])
        if aggregation.session is not None:
            charges = _by_session(facts, aggregation.session)
        else:
            charges = _by_window(facts, aggregation.window)
        return {name: _row(cents, aggregation.functions) for name, cents in charges.items()}

    def _facts(
        self, starts: Mapping[int, int], taken: Sequence[tuple[str, int] | None]
    ) -> Iterator[tuple[str, int, int]]:
        """Yield group, cents and event time of what is taken, by kind."""
        for partition, start in starts.items():
            kinds, times_ms = self._kinds[partition][start:], self._times_ms[partition][start:]
            for kind, time_ms in zip(kinds, times_ms, strict=True):
                fact = taken[kind]
                if fact is not None:
                    yield *fact, time_ms


def _taken(fields: Mapping[str, Any], aggregation: Aggregation) -> tuple[str, int] | None:
    """Return group and cents of a claim, or None where a test does not hold."""
    if not holds(lambda path: field(fields, path), aggregation.tests):
        return None
    group = "|".join(field(fields, path) for path in aggregation.group)
    return group, int(fields[CHARGE].scaleb(2))


def _by_window(facts: Iterable[tuple[str, int, int]], window: Window | None) -> dict[str, array[int]]:
    if window is None:
        raise ValueError(window)
    found: dict[tuple[str, int], array[int]] = defaultdict(lambda: array("l"))
    for group, cents, time_ms in facts:
        for start in window.starts(time_ms):
            found[group, start].append(cents)
    return {f"{group}/{start}": charges for (group, start), charges in found.items()}


def _by_session(facts: Iterable[tuple[str, int, int]], session: Session) -> dict[str, array[int]]:
    by_group: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for group, cents, time_ms in facts:
        by_group[group].append((time_ms, cents))
    found: dict[str, array[int]] = {}
    for group, events in by_group.items():
        for start_ms, end_ms, charges in _sessions(sorted(events), session.gap_ms):
            found[f"{group}/{start_ms}/{end_ms}"] = charges
    return found


def _sessions(events: Sequence[tuple[int, int]], gap_ms: int) -> Iterator[tuple[int, int, array[int]]]:
    """Yield start, end and charges of the sessions of events in the order of time, at least one."""
    start_ms = last_ms = events[0][0]
    charges = array("l")
    for time_ms, cents in events:
        if time_ms - last_ms >= gap_ms:
            yield start_ms, last_ms + gap_ms, charges
            start_ms, charges = time_ms, array("l")
        charges.append(cents)
        last_ms = time_ms
    yield start_ms, last_ms + gap_ms, charges


_FUNCTIONS: Final[Mapping[str, Callable[[array[int]], int]]] = {
    "count": len,
    "sum": sum,
    "min": min,
    "max": max,
}


def _row(charges: array[int], functions: Iterable[str]) -> tuple[int, ...]:
    return tuple(_FUNCTIONS[name](charges) for name in functions)
