"""The input of the aggregation cases, and the account of what must come of it."""

from __future__ import annotations

import json
from collections import Counter
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader

from benchmarks.aggregations import AGGREGATIONS, MINUTE_MS
from benchmarks.inputs import SCHEMA_PATH
from benchmarks.timed_claims import (
    BASE_MS,
    JITTER_MS,
    Timed,
    TimedClaim,
    TimedKind,
    timed_claims,
    timed_kinds,
)
from benchmarks.workers.aggregation import Aggregation, Comparison, Session, Window
from benchmarks.workers.job import AGGREGATE_TEN
from fleet.lane.partitioner import partition_of

PARTITIONS = 4
FROM_THE_START = dict.fromkeys(range(PARTITIONS), 0)
SCHEMA: Any = json.loads(SCHEMA_PATH.read_bytes())
HOP = Window(2_000, 1_000, 0)


@pytest.fixture(scope="module")
def made() -> list[TimedKind]:
    """Give the claims that events are copies of."""
    return timed_kinds(SCHEMA, 7)


def claim_of(made: list[TimedKind], kind: int, time_ms: int) -> TimedClaim:
    """Return an event of the first partition."""
    return TimedClaim(0, made[kind].key, b"", (), kind, time_ms)


def fields_of(claim: TimedClaim) -> Any:
    """Return the decoded value."""
    return schemaless_reader(BytesIO(claim.value[5:]), parse_schema(SCHEMA), None)


def aggregation_of(**options: Any) -> Aggregation:
    """Return an aggregation by provider."""
    return Aggregation(name="a", group=("billing_provider.npi",), **options)


def cents_of(made: list[TimedKind], kind: int) -> int:
    """Return the charge of a kind."""
    return int(made[kind].fields["total_charge"] * 100)


def test_events_are_claims_in_event_time(made: list[TimedKind]) -> None:
    """Each decodes to its kind, with an id and a time of its own; keyed by the member."""
    for number, claim in enumerate(timed_claims(200, made, partitions=PARTITIONS)):
        expected = made[claim.kind].fields
        decoded = fields_of(claim)
        assert int(decoded["event_time"].timestamp() * 1000 + 0.5) == claim.time_ms
        assert abs(claim.time_ms - BASE_MS - number) <= JITTER_MS
        assert {**decoded, "claim_id": "", "event_time": 0} == {**expected, "claim_id": "", "event_time": 0}
        assert claim.key == expected["member_id"].encode()
        assert claim.partition == partition_of(claim.key, PARTITIONS)
        assert dict(claim.headers)["ce_id"] == decoded["claim_id"].encode()


def test_providers_take_turns_by_the_minute(made: list[TimedKind]) -> None:
    """So sessions end: who has events in one minute has none in the next; all are there."""
    active: dict[int, set[str]] = {0: set(), 1: set()}
    for number, claim in enumerate(timed_claims(2 * MINUTE_MS, made, partitions=1)):
        active[number // MINUTE_MS].add(made[claim.kind].fields["billing_provider"]["npi"])
    assert not active[0] & active[1]
    assert len(active[0]) == len(active[1]) == 5_000


def test_windows_hold_what_is_in_them(made: list[TimedKind]) -> None:
    """Each event in every window that holds it, from the asked offset on."""
    timed = Timed(PARTITIONS, made)
    for time_ms in (BASE_MS - 1, BASE_MS, BASE_MS + 1_500):
        timed.add(claim_of(made, 0, time_ms))
    npi, cents = made[0].fields["billing_provider"]["npi"], cents_of(made, 0)
    rows = timed.rows({0: 1}, aggregation_of(functions=("count", "sum"), window=HOP))
    assert rows == {
        f"{npi}/{BASE_MS - 1_000}": (1, cents),
        f"{npi}/{BASE_MS}": (2, 2 * cents),
        f"{npi}/{BASE_MS + 1_000}": (1, cents),
    }


def test_an_event_a_gap_after_the_last_begins_a_session(made: list[TimedKind]) -> None:
    """One just before it does not, and order does not matter; an end is a gap after the last event."""
    timed = Timed(PARTITIONS, made)
    for time_ms in (BASE_MS + 1_998, BASE_MS, BASE_MS + 999, BASE_MS + 2_998):
        timed.add(claim_of(made, 0, time_ms))
    npi = made[0].fields["billing_provider"]["npi"]
    rows = timed.rows(FROM_THE_START, aggregation_of(functions=("count",), session=Session(1_000, 0)))
    assert rows == {
        f"{npi}/{BASE_MS}/{BASE_MS + 2_998}": (3,),
        f"{npi}/{BASE_MS + 2_998}/{BASE_MS + 3_998}": (1,),
    }


def test_functions_are_of_what_passes_the_tests(made: list[TimedKind]) -> None:
    """Grouped by several fields; by another reckoning over decoded events."""
    timed, counts = Timed(PARTITIONS, made), Counter[str]()
    charges: dict[str, list[int]] = {}
    aggregation = Aggregation(
        name="a",
        group=("payer.id", "place_of_service"),
        functions=("max", "min", "count"),
        window=Window(MINUTE_MS, MINUTE_MS, 0),
        tests=(Comparison("total_charge", ">=", 500), Comparison("frequency_code", "!=", "7")),
    )
    for claim in timed_claims(2_000, made, partitions=PARTITIONS):
        timed.add(claim)
        decoded = fields_of(claim)
        if decoded["total_charge"] < 500 or decoded["frequency_code"] == "7":
            continue
        start = claim.time_ms // MINUTE_MS * MINUTE_MS
        name = f"{decoded['payer']['id']}|{decoded['place_of_service']}/{start}"
        counts[name] += 1
        charges.setdefault(name, []).append(int(decoded["total_charge"] * 100))
    expected = {name: (max(found), min(found), counts[name]) for name, found in charges.items()}
    assert timed.rows(FROM_THE_START, aggregation) == expected


def test_every_aggregation_of_the_ten_has_results_of_its_own(made: list[TimedKind]) -> None:
    """None is a copy of another, none is empty, and each has windows or sessions."""
    timed = Timed(PARTITIONS, made)
    for claim in timed_claims(5_000, made, partitions=PARTITIONS):
        timed.add(claim)
    ten = AGGREGATIONS[AGGREGATE_TEN]
    assert len({each.name for each in ten}) == len(ten) == 10
    assert all((each.window is None) != (each.session is None) for each in ten)
    results = [timed.rows(FROM_THE_START, each) for each in ten]
    assert all(results)
    assert all(one != other for place, one in enumerate(results) for other in results[:place])
