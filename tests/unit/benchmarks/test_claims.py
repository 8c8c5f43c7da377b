"""The input of the routing cases, and the independent account of what must come of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader

from agents.router.domain.timeline import Timeline
from benchmarks.claims import EVENT_TYPE, Claim, Claimed, Kind, claims, kinds
from benchmarks.inputs import SCHEMA_PATH
from benchmarks.rules import TARGETS, many_rules, rules_of
from benchmarks.workers.aggregation import Comparison
from benchmarks.workers.job import ROUTE_ATTRIBUTES, ROUTE_FIELDS, Job, Rule
from benchmarks.workers.lane import rule_set
from benchmarks.workers.plain import router
from fleet.lane.partitioner import partition_of

PARTITIONS = 4
SCHEMA_ID = 7
FROM_THE_START = dict.fromkeys(range(PARTITIONS), 0)
SCHEMA: Any = json.loads(SCHEMA_PATH.read_bytes())


@pytest.fixture(scope="module")
def made() -> list[Kind]:
    """Give the claims that events are copies of."""
    return kinds(SCHEMA, SCHEMA_ID)


def job_of(case: str, rules: tuple[Rule, ...]) -> Job:
    """Return a job with these rules."""
    return Job(
        name="bench",
        case=case,
        guarantee="exactly_once",
        bootstrap_servers="",
        registry_url="",
        source="",
        partitions=PARTITIONS,
        data_dir="",
        web_port=0,
        ready_path="",
        schema_path=str(SCHEMA_PATH),
        rules=rules,
    )


def fields_of(claim: Claim) -> Any:
    """Return the decoded value."""
    return schemaless_reader(BytesIO(claim.value[5:]), parse_schema(SCHEMA), None)


def decided_by(rules: Timeline, claim: Claim) -> list[tuple[str, bytes]]:
    """Return what the router decides for `claim`, as outputs name it."""
    attributes = {name[3:]: value.decode() for name, value in claim.headers if name.startswith("ce_")}
    decision = rules.everything.decide(attributes["type"], attributes, lambda: fields_of(claim))
    assert not decision.errors
    return [(target.topic, f"{target.rule}@{target.version}".encode()) for target in decision.targets]


def test_claims_are_in_wire_format_of_the_stated_size(made: list[Kind]) -> None:
    """A reader finds 17 fields, 3 lines and an id of its own in each; about 390 bytes."""
    found = list(claims(300, made, partitions=PARTITIONS))
    assert found == list(claims(300, made, partitions=PARTITIONS))
    assert 380 < sum(len(claim.value) for claim in found) / 300 < 400
    decoded = [fields_of(claim) for claim in found]
    assert {claim.value[:5] for claim in found} == {b"\x00\x00\x00\x00\x07"}
    assert {(len(fields), len(fields["service_lines"])) for fields in decoded} == {(17, 3)}
    assert len({fields["claim_id"] for fields in decoded}) == 300
    assert [fields["claim_id"].encode() for fields in decoded] == [claim.headers[0][1] for claim in found]
    assert all(claim.partition == partition_of(claim.key, PARTITIONS) for claim in found)


@pytest.mark.parametrize("case", [ROUTE_ATTRIBUTES, ROUTE_FIELDS])
def test_every_engine_in_python_routes_alike(case: str, made: list[Kind]) -> None:
    """The router's own rules, the plain ``if``s of the peers and the account agree, event by event."""
    rules = rules_of(case, str)
    product, plain = rule_set(job_of(case, rules)), router(job_of(case, rules))
    counts: Counter[str] = Counter()
    account = Claimed(PARTITIONS, made)
    for claim in claims(1_500, made, partitions=PARTITIONS):
        account.add(claim)
        outputs = plain(claim.value, claim.headers)
        assert sorted(outputs) == sorted(decided_by(product, claim))
        counts.update(header.decode() for _, header in outputs)
    routed = account.routed(FROM_THE_START, rules, case)
    assert routed.rules == counts
    assert sum(count for count, _ in routed.topics.values()) == counts.total()
    assert routed.topics.keys() == set(TARGETS)


@pytest.mark.parametrize("case", [ROUTE_ATTRIBUTES, ROUTE_FIELDS])
def test_rules_give_about_an_output_an_event_and_five_give_none(case: str, made: list[Kind]) -> None:
    """What is measured is routing, not copying; rules that match nothing are tried all the same."""
    account = Claimed(PARTITIONS, made)
    for claim in claims(20_000, made, partitions=PARTITIONS):
        account.add(claim)
    rules = rules_of(case, str)
    routed = account.routed(FROM_THE_START, rules, case)
    assert len(rules) == 20
    assert 0.9 < sum(routed.rules.values()) / 20_000 < 1.1
    assert len(routed.rules) == 15


@pytest.mark.parametrize("count", [10, 100])
def test_outputs_do_not_depend_on_how_many_rules_there_are(count: int, made: list[Kind]) -> None:
    """Growth in rules is measured alone: the eight that match are the same ones."""
    rules = many_rules(count, str)
    plain, eight = _plain(rules), _plain(many_rules(8, str))
    assert len(rules) == count
    for claim in claims(200, made, partitions=PARTITIONS):
        assert plain(claim) == eight(claim)


def _plain(rules: tuple[Rule, ...]) -> Callable[[Claim], list[tuple[str, bytes]]]:
    route = router(job_of(ROUTE_ATTRIBUTES, rules))
    return lambda claim: route(claim.value, claim.headers)


def test_the_event_type_is_what_the_rules_are_for(made: list[Kind]) -> None:
    """Else no rule would be looked at."""
    assert {dict(claim.headers)["ce_type"] for claim in claims(50, made, partitions=PARTITIONS)} == {
        EVENT_TYPE.encode()
    }


def test_the_account_counts_from_the_starts(made: list[Kind]) -> None:
    """A part at the end of each partition leaves out just the events before it."""
    account = Claimed(PARTITIONS, made)
    for claim in claims(1_000, made, partitions=PARTITIONS):
        account.add(claim)
    every = Rule("all", "t", (Comparison("type", "==", EVENT_TYPE),))
    starts = {partition: size - 10 for partition, size in account.sizes.items()}
    assert account.routed(starts, [every], ROUTE_ATTRIBUTES).topics["t"][0] == 10 * PARTITIONS
