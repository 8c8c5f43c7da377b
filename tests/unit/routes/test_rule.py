"""Rules as teams write them: what is accepted, and what a refusal says."""

from __future__ import annotations

import json
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.router.domain.routing import RuleSet
from tables.routes.errors import RuleError
from tables.routes.rule import State, matches, parse_rule
from tables.routes.target import TargetError, parse_target

RULE: dict[str, Any] = {
    "name": "high-value",
    "version": 3,
    "owner": "finance",
    "source": "canonical.claim",
    "targets": ["finance.high-value-claims"],
}
DEMONSTRATION = Path(__file__).parents[3] / "agents" / "router" / "rules.yaml"


def test_a_rule_is_read_from_json_and_from_a_mapping_alike() -> None:
    """The config topic holds JSON, a file gives mappings: one rule comes out."""
    written = {**RULE, "condition": "event.total_charge > 1000", "state": "active"}

    rule = parse_rule(json.dumps(written).encode())

    assert rule == parse_rule(written)
    assert rule.state is State.ACTIVE
    assert rule.compiled.fields == {"total_charge"}


def test_a_new_rule_is_a_draft_that_always_matches() -> None:
    """Nothing routes by accident: the state has to be said."""
    rule = parse_rule(RULE)

    assert (rule.state, rule.compiled.always) == (State.DRAFT, True)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (
            {"version": "3"},
            "version",
            "rule 'high-value': version: expected int, got str: use a whole number from 1",
        ),
        (
            {"version": 0},
            "version",
            "rule 'high-value': version: expected int >= 1: use a whole number from 1",
        ),
        (
            {"state": "on"},
            "state",
            "rule 'high-value': state: invalid enum value 'on': use draft, active, paused or deleted",
        ),
        (
            {"owner": "The Team"},
            "owner",
            (
                "rule 'high-value': owner: expected str of the allowed form: "
                "name the owning team in lower-case letters, digits, '.', '_' and '-'"
            ),
        ),
        (
            {"targets": []},
            "targets",
            (
                "rule 'high-value': targets: expected array of length >= 1: "
                "list 1 to 100 topic names of letters, digits, '.', '_' and '-'"
            ),
        ),
        (
            {"targets": ["a.b", "no spaces"]},
            "targets",
            (
                "rule 'high-value': targets: 'no spaces' is no name of a topic: "
                "use letters, digits, '.', '_' and '-'"
            ),
        ),
        (
            {"targets": ["claims.{Region}"]},
            "targets",
            (
                "rule 'high-value': targets: 'claims.{Region}' is no template of a topic: "
                "name attributes in braces, e.g. claims.{region}"
            ),
        ),
        (
            {"targets": ["a.b", "a.b"]},
            "targets",
            "rule 'high-value': targets: a topic is named twice: name each topic once",
        ),
        (
            {"targets": ["fleet.audit"]},
            "targets",
            "rule 'high-value': targets: 'fleet.audit' belongs to the platform: choose a topic of a team",
        ),
        (
            {"targets": ["canonical.claim"]},
            "targets",
            (
                "rule 'high-value': targets: 'canonical.claim' is the source, events would go round: "
                "choose another topic"
            ),
        ),
        (
            {"colour": "red"},
            "colour",
            (
                "rule 'high-value': colour is not a field of a rule: "
                "known: name, version, owner, source, targets, condition, projection, key, group, priority, "
                "default, valid_from, valid_until, state, description, output_schema"
            ),
        ),
        (
            {"condition": "event.total_charge > )"},
            "condition",
            "rule 'high-value': condition line 1 column 22: unexpected ')'; expected a value",
        ),
        (
            {"key": "event.payer.id +"},
            "key",
            "rule 'high-value': key line 1 column 17: unexpected end of the condition; expected a value",
        ),
        (
            {"projection": {"compute": {"over": "event.total_charge - )"}}},
            "projection.compute.over",
            "rule 'high-value': projection.compute.over line 1 column 22: unexpected ')'; expected a value",
        ),
        (
            {"projection": {"keep": ["payer"], "rename": {"payer": "billing_provider"}}},
            "projection",
            "rule 'high-value': projection: two fields are called 'payer': give each its own name",
        ),
        (
            {"projection": {"drop": ["payer"]}},
            "drop",
            "rule 'high-value': drop is not a field of a projection: known: keep, rename, compute",
        ),
        (
            {"projection": {}},
            "projection",
            "rule 'high-value': projection: has 0 fields: give 1 to 200",
        ),
        (
            {"valid_from": "2026-01-31T00:00:00"},
            "valid_from",
            (
                "rule 'high-value': valid_from: expected datetime with a timezone component: "
                "write a time with its zone, e.g. 2026-01-31T00:00:00Z"
            ),
        ),
        (
            {"valid_from": "2026-02-01T00:00:00Z", "valid_until": "2026-02-01T01:00:00+01:00"},
            "valid_until",
            "rule 'high-value': valid_until: is not after valid_from: give a later time",
        ),
    ],
)
def test_a_refused_rule_names_the_field_and_the_reason(
    change: dict[str, Any], field: str, message: str
) -> None:
    """One line names the rule, the field and what to do."""
    with pytest.raises(RuleError) as refused:
        parse_rule({**RULE, **change})

    assert (refused.value.field, str(refused.value)) == (field, message)
    assert refused.value.reason == "invalid_rule"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a\n"},
        {"source": "a b"},
        {"source": "a/*"},
        {"group": "A"},
        {"projection": {"keep": ["a b"]}},
    ],
)
def test_names_hold_nothing_that_a_topic_or_a_header_could_not(change: dict[str, Any]) -> None:
    """Names become topics, keys and headers as they are: no spaces, line ends or slashes."""
    with pytest.raises(RuleError, match="of the allowed form"):
        parse_rule({**RULE, **change})


@pytest.mark.parametrize("field", ["name", "version", "owner", "source", "targets"])
def test_a_missing_field_is_named(field: str) -> None:
    """Each field without a default is asked for by name."""
    with pytest.raises(RuleError, match=f"{field} is required") as refused:
        parse_rule({key: value for key, value in RULE.items() if key != field})

    assert refused.value.field == field


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "rule is not JSON: Input data was truncated"),
        (b"\x00\xff", "rule is not JSON: JSON is malformed: invalid character (byte 0)"),
        (b"[]", "rule must be an object with name, version, owner, source and targets"),
    ],
)
def test_what_is_no_rule_at_all_is_refused(data: bytes, message: str) -> None:
    """Bytes that hold something else are told apart from a rule with a mistake."""
    with pytest.raises(RuleError) as refused:
        parse_rule(data)

    assert str(refused.value) == message


def _claim(**change: Any) -> dict[str, Any]:
    claim = {
        "total_charge": Decimal("80.00"),
        "place_of_service": "11",
        "diagnosis_codes": [{"code": "J069"}],
        "service_lines": [{"procedure_code": "99213", "charge": Decimal("80.00")}],
    }
    return {**claim, **change}


@pytest.mark.parametrize(
    ("change", "topics"),
    [
        ({}, set()),
        ({"total_charge": Decimal("1000.01")}, {"finance.high-value-claims"}),
        ({"service_lines": [{"procedure_code": "99213"}] * 2}, {"analytics.claims"}),
        ({"service_lines": [{"procedure_code": "71046"}]}, {"fraud.watchlist-claims"}),
        (
            {"diagnosis_codes": [{"code": "R5383"}], "total_charge": Decimal(2500)},
            {"finance.high-value-claims", "fraud.watchlist-claims"},
        ),
        ({"place_of_service": "22", "service_lines": [{"procedure_code": "99213"}] * 2}, set()),
    ],
)
def test_the_demonstration_rules_route_claims(change: dict[str, Any], topics: set[str]) -> None:
    """The three rules that come with the router are active, and some claims match none of them."""
    rules = RuleSet.of(parse_rule(entry) for entry in yaml.safe_load(DEMONSTRATION.read_text()))

    decision = rules.decide("canonical.claim", {"type": "canonical.claim"}, lambda: _claim(**change))

    assert {target.topic for target in decision.targets} == topics
    assert (bool(decision.matched), decision.errors) == (bool(topics), ())


@pytest.mark.parametrize("target", ["../x", "a\n", "a b", "", "{region}/x", "{", "a}", "{}", "{a b}", "x.{a"])
def test_a_target_is_a_topic_or_a_template_of_one(target: str) -> None:
    """Whatever its attributes hold, the literal part of a target is a topic's."""
    with pytest.raises(RuleError, match="targets: "):
        parse_rule({**RULE, "targets": [target]})


@pytest.mark.parametrize(
    ("target", "attributes", "topic"),
    [
        ("claims.all", {}, "claims.all"),
        ("claims.{region}", {"region": "TX"}, "claims.TX"),
        ("{team}.{region}.claims", {"region": "TX", "team": "a"}, "a.TX.claims"),
    ],
)
def test_a_template_is_filled_in_from_attributes(target: str, attributes: dict[str, str], topic: str) -> None:
    """Each name in braces stands for the attribute of that name."""
    assert parse_target(target).topic(attributes) == topic


@pytest.mark.parametrize(
    "attributes",
    [{}, {"team": "a b"}, {"team": "fleet"}, {"team": ""}, {"team": "x" * 300}, {"team": "a/../b"}],
)
def test_attributes_that_make_no_topic_are_refused(attributes: dict[str, str]) -> None:
    """A publisher cannot reach a topic of the platform, or none at all, by what it writes into a header."""
    with pytest.raises(TargetError, match=r"target \{team\}\.x: "):
        parse_target("{team}.x").topic(attributes)


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", max_size=10))
def test_a_pattern_covers_what_it_says(source: str, event_type: str) -> None:
    """A star stands for any run of characters, as in a shell."""
    assert matches(source, event_type) is fnmatchcase(event_type, source)
