"""The input of the routing cases: Avro claims with CloudEvents headers, the same ones for the same count."""

from __future__ import annotations

import datetime as dt
import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
from fastavro import parse_schema, schemaless_writer

from benchmarks import rules
from benchmarks.workers.job import ROUTE_ATTRIBUTES, Rule
from fleet.lane.partitioner import partition_of

MEMBERS = 5_000
SEED = 11
EVENT_TYPE = "canonical.claim"

_KINDS = 4_096
_ID_DIGITS = 32
_DAY = dt.date(2026, 3, 2)
TIME = dt.datetime(2026, 3, 2, 14, tzinfo=dt.UTC)

Headers = tuple[tuple[str, bytes], ...]


class Claim(NamedTuple):
    """One event, as published; `kind` says which of the claims made once it is, but for its id."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers
    kind: int


class Kind(NamedTuple):
    """A claim made once: `head`, an id and `tail` are its value."""

    key: bytes
    head: bytes
    tail: bytes
    attributes: Mapping[str, str]
    fields: Mapping[str, Any]


class Routed(msgspec.Struct, frozen=True):
    """What must be in the target topics.

    Attributes:
        topics: Count and sum of the values' CRC-32 by topic.
        rules: Outputs by value of the rule header.
    """

    topics: dict[str, tuple[int, int]]
    rules: dict[str, int]


def kinds(schema: Mapping[str, Any], schema_id: int) -> list[Kind]:
    """Return the claims that events are copies of.

    Args:
        schema: Avro schema ``canonical.claim``.
        schema_id: Its id in the registry.
    """
    rnd = random.Random(SEED)
    parsed: Any = parse_schema(dict(schema))
    return [_kind(rnd, parsed, schema_id) for _ in range(_KINDS)]


def _kind(rnd: random.Random, schema: Any, schema_id: int) -> Kind:
    member = f"M{int(rnd.random() * MEMBERS):07d}"
    fields = claim_fields(rnd, member)
    stream = BytesIO()
    stream.write(b"\x00" + schema_id.to_bytes(4, "big"))
    schemaless_writer(stream, schema, fields)
    head, _, tail = stream.getvalue().partition(fields["claim_id"].encode())
    return Kind(member.encode(), head, tail, claim_attributes(rnd, EVENT_TYPE), fields)


def claim_attributes(rnd: random.Random, event_type: str) -> dict[str, str]:
    """Return CloudEvents attributes of a claim."""
    return {
        "source": rnd.choice(rules.SOURCES),
        "type": event_type,
        "region": rnd.choice(rules.REGIONS),
        "priority": rnd.choice(rules.PRIORITIES),
    }


def claim_fields(rnd: random.Random, member: str) -> dict[str, Any]:
    """Return a claim of `member`, all of whose fields are set."""
    total = 1_000 + int(rnd.random() * 100_000)
    lines = (total // 2, total // 3, total - total // 2 - total // 3)
    return {
        "claim_id": "0" * _ID_DIGITS,
        "patient_control_number": f"PCN-{int(rnd.random() * 10**8):08d}",
        "member_id": member,
        "patient": {"relationship": "18", "birth_date": dt.date(1984, 5, 9), "gender": "F"},
        "payer": {"id": rnd.choice(rules.PAYERS), "name": "UNITED EXAMPLE HEALTH PLAN OF TEXAS"},
        "billing_provider": {
            "npi": f"{1_000_000_000 + int(rnd.random() * 400)}",
            "tax_id": "123456789",
            "name": "EXAMPLE FAMILY MEDICINE CLINIC",
        },
        "rendering_provider_npi": f"{1_500_000_000 + int(rnd.random() * 400)}",
        "transaction_type": rnd.choice(rules.TRANSACTIONS),
        "frequency_code": rnd.choice(rules.FREQUENCIES),
        "place_of_service": rnd.choice(rules.PLACES),
        "diagnosis_codes": [
            {"position": 1, "qualifier": "ABK", "code": "E119"},
            {"position": 2, "qualifier": "ABF", "code": "I10"},
        ],
        "total_charge": Decimal(total).scaleb(-2),
        "service_from": _DAY,
        "service_to": _DAY,
        "event_time": TIME,
        "service_lines": [_line(place, amount) for place, amount in enumerate(lines, start=1)],
        "source": {
            "system": "clearinghouse-a",
            "file": "2026-03-02-000001.edi",
            "interchange_control": "000000905",
            "transaction_control": "0021",
            "usage": "P",
            "segment_position": 21,
            "mapping": "x12-837p",
            "mapping_version": 1,
        },
    }


def _line(number: int, cents: int) -> dict[str, Any]:
    return {
        "line_number": number,
        "qualifier": "HC",
        "procedure_code": "99213",
        "modifiers": ["25"],
        "charge": Decimal(cents).scaleb(-2),
        "units": Decimal("1.000"),
        "unit_code": "UN",
        "service_from": _DAY,
        "service_to": _DAY,
        "diagnosis_pointers": [1],
        "ndc": None,
    }


def claims(count: int, made: Sequence[Kind], *, partitions: int) -> Iterator[Claim]:
    """Yield `count` events, in publishing order, each of a kind at random and with an id of its own."""
    rnd = random.Random(SEED)
    places = [partition_of(kind.key, partitions) for kind in made]
    shared = [claim_headers(kind.attributes) for kind in made]
    for number in range(count):
        at = int(rnd.random() * len(made))
        claim_id = b"%032x" % number
        kind = made[at]
        headers = (("ce_id", claim_id), *shared[at])
        yield Claim(places[at], kind.key, b"".join((kind.head, claim_id, kind.tail)), headers, at)


def claim_headers(attributes: Mapping[str, str]) -> Headers:
    """Return the headers of a claim but for its id."""
    return (
        ("ce_specversion", b"1.0"),
        *((f"ce_{name}", value.encode()) for name, value in attributes.items()),
        ("ce_time", TIME.isoformat().encode()),
        ("content-type", b"application/avro"),
    )


class Claimed:
    """The account of what was published: what must come of it, from any offset on."""

    def __init__(self, partitions: int, made: Sequence[Kind]) -> None:
        self._made = made
        self._kinds = [array("H") for _ in range(partitions)]
        self._checksums = [array("L") for _ in range(partitions)]

    def add(self, claim: Claim) -> None:
        """Account for the next event of its partition."""
        self._kinds[claim.partition].append(claim.kind)
        self._checksums[claim.partition].append(crc32(claim.value))

    @property
    def sizes(self) -> dict[int, int]:
        """Events by partition."""
        return {partition: len(found) for partition, found in enumerate(self._kinds)}

    def routed(self, starts: Mapping[int, int], given: Sequence[Rule], case: str) -> Routed:
        """Return what the rules make of what lies at or after `starts`."""
        decide = rules.outputs_by(given)
        decided = [decide(reading(kind, case)) for kind in self._made]
        counts: Counter[str] = Counter()
        checksums: Counter[str] = Counter()
        by_rule: Counter[str] = Counter()
        for partition, start in starts.items():
            kinds_of, sums = self._kinds[partition][start:], self._checksums[partition][start:]
            for kind, checksum in zip(kinds_of, sums, strict=True):
                for topic, header in decided[kind]:
                    counts[topic] += 1
                    checksums[topic] += checksum
                    by_rule[header.decode()] += 1
        topics = {rule.topic: (counts[rule.topic], checksums[rule.topic]) for rule in given}
        return Routed(topics, dict(by_rule))


def reading(kind: Kind, case: str) -> Callable[[str], Any]:
    """Return what gives an attribute of `kind`, or a field, by its path."""
    if case == ROUTE_ATTRIBUTES:
        return kind.attributes.__getitem__

    def field(path: str) -> Any:
        found: Any = kind.fields
        for name in path.split("."):
            found = found[name]
        return found

    return field
