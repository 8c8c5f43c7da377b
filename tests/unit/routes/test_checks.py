"""Rules against the schemas of their sources: what is refused when a rule is saved."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tables.routes.checks import check_rule, check_table
from tables.routes.errors import RuleError
from tables.routes.rule import Rule, parse_rule

ROOT = Path(__file__).parents[3]
CLAIM = json.loads((ROOT / "schemas" / "avro" / "canonical.claim.avsc").read_text())
PATIENT = {
    "type": "record",
    "name": "Patient",
    "fields": [
        {"name": "patient_id", "type": "string"},
        {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "total_charge", "type": "double"},
    ],
}
VISIT = {"type": "record", "name": "Visit", "fields": [{"name": "claim_id", "type": "string"}]}
SCHEMAS = {"canonical.claim": CLAIM, "canonical.patient": PATIENT, "canonical.visit": VISIT, "raw.x": VISIT}


def _rule(**more: Any) -> Rule:
    document = {"name": "high", "version": 1, "owner": "team", "source": "canonical.claim", "targets": ["t"]}
    return parse_rule({**document, **more})


REFUSED = [
    (
        {"condition": "event.total_chrage > 1000"},
        "condition line 1 column 1: no field 'total_chrage' in canonical.claim; did you mean 'total_charge'?",
    ),
    (
        {"condition": 'true &&\n event.total_charge > "1000"'},
        "condition line 2 column 2: decimal > string: write 1000 without quotes",
    ),
    (
        {"condition": "event.total_charge"},
        (
            "condition line 1 column 1: "
            "the condition must be true or false, got decimal; compare it, e.g. with =="
        ),
    ),
    (
        {"key": "event.total_charge"},
        "key line 1 column 1: the key must be a string, got decimal; write string(...)",
    ),
    ({"key": "event.payer.idd"}, "key line 1 column 1: no field 'idd' in Payer; did you mean 'id'?"),
    (
        {"projection": {"compute": {"over": "true ? event.total_charge - '1' : 0"}}},
        "projection.compute.over line 1 column 8: decimal - string: write 1 without quotes",
    ),
    (
        {"projection": {"keep": ["payr"]}},
        "projection.keep: no field 'payr' in canonical.claim: did you mean 'payer'?",
    ),
    (
        {"source": "canonical.clam", "condition": "event.total_charge > 1"},
        (
            "source: the rule reads fields of canonical.clam, and it has no schema: "
            "register a schema as canonical.clam-value, or use attributes alone"
        ),
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_a_rule_that_its_source_cannot_satisfy_is_refused(change: dict[str, Any], message: str) -> None:
    """Rule, field, line, column and what would be right."""
    with pytest.raises(RuleError) as refused:
        check_rule(_rule(**change), SCHEMAS)

    assert str(refused.value) == f"rule 'high': {message}"


@pytest.mark.parametrize("change", [{}, {"condition": "attributes.tenant == 'x'", "key": "attributes.id"}])
def test_a_rule_over_attributes_alone_needs_no_schema(change: dict[str, Any]) -> None:
    """Any event has attributes, whatever its value is."""
    assert check_rule(_rule(source="raw.unknown", **change), SCHEMAS) is None
    with pytest.raises(RuleError, match="bool"):
        check_rule(_rule(source="raw.unknown", condition="attributes.tenant == (true + 1)"), SCHEMAS)


@pytest.mark.parametrize("state", ["paused", "deleted"])
def test_a_rule_can_be_stopped_whatever_became_of_its_source(state: str) -> None:
    """Pausing a rule that fails since a schema changed must not be refused for failing."""
    assert check_rule(_rule(condition="event.gone > 1", state=state), SCHEMAS) is None


def test_the_demonstration_rules_pass() -> None:
    """What comes with the router is right for the schema that comes with it."""
    rules = [
        parse_rule(entry) for entry in yaml.safe_load((ROOT / "agents" / "router" / "rules.yaml").read_text())
    ]
    for rule in rules:
        assert check_rule(rule, SCHEMAS) is None
    check_table(rules)


def test_the_rule_of_the_guide_passes() -> None:
    """What people copy from the documentation is accepted, with its projection."""
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "routing.md").read_text(), re.DOTALL)
    (entry,) = yaml.safe_load(example)
    schema = check_rule(parse_rule({"version": 1, **entry}), SCHEMAS)
    assert schema is not None

    names = [field["name"] for field in schema["fields"]]
    assert names == ["claim_id", "total_charge", "provider", "lines", "over"]


def test_a_pattern_is_checked_against_each_event_type_that_it_covers() -> None:
    """A field must have a type that fits in all of them, or be guarded where some have it not."""
    check_rule(
        _rule(source="canonical.*", condition="has(event.event_time) && event.event_time > timestamp(0)"),
        SCHEMAS,
    )
    for condition, message in [
        (
            "event.event_time > timestamp(0)",
            "no field 'event_time' in canonical.visit, which the source covers too",
        ),
        ("has(event.total_charge) && event.total_charge > 1000", "double > int: write 1000.0"),
        ("has(event.evnt_time)", "no field 'evnt_time' in canonical.claim; did you mean 'event_time'?"),
    ]:
        with pytest.raises(RuleError) as refused:
            check_rule(_rule(source="canonical.*", condition=condition), SCHEMAS)
        assert message in refused.value.message


def test_a_pattern_that_covers_no_known_type_needs_attributes_alone() -> None:
    """Nothing is known of what it would read."""
    with pytest.raises(RuleError, match="no event type that it covers has a schema"):
        check_rule(_rule(source="other.*", condition="event.x == 1"), SCHEMAS)


def test_copies_of_a_pattern_have_one_schema() -> None:
    """A field that some events have not got is null in their copies; one of two types is refused."""
    schema = check_rule(_rule(source="canonical.*", projection={"keep": ["patient_id", "claim_id"]}), SCHEMAS)
    assert schema is not None

    assert [field["type"] for field in schema["fields"]] == [["null", "string"], ["null", "string"]]
    with pytest.raises(RuleError, match="total_charge has another type"):
        check_rule(_rule(source="canonical.*", projection={"keep": ["total_charge"]}), SCHEMAS)


def test_a_rule_with_a_projection_gets_its_schema() -> None:
    """The platform registers what the check gives."""
    schema = check_rule(_rule(projection={"rename": {"charge": "total_charge"}}), SCHEMAS)
    assert schema is not None

    assert (schema["name"], [field["name"] for field in schema["fields"]]) == ("high", ["charge"])
