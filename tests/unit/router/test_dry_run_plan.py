"""From what somebody asks to the two sets of rules of a dry-run."""

from __future__ import annotations

from typing import Any

import pytest

from agents.router.dry_run.plan import Request, parse_request, plan
from tables.errors import InvalidInputError, NotFoundError
from tables.routes.errors import RuleError
from tables.routes.rule import Rule, parse_rule

SOURCES = ("canonical.claim", "canonical.remittance")


def rule(name: str, **fields: Any) -> Rule:
    """Return a rule, version 3, active."""
    plain = {"name": name, "version": 3, "owner": "team", "source": "canonical.claim", "state": "active"}
    return parse_rule({**plain, "targets": [f"team.{name}"], **fields})


STORED = {
    each.name: each for each in (rule("active"), rule("draft", state="draft"), rule("gone", state="deleted"))
}
WHOLE: dict[str, Any] = {
    "name": "active",
    "owner": "team",
    "source": "canonical.claim",
    "targets": ["team.other"],
}


def after(**request: Any) -> dict[str, tuple[int, str]]:
    """Return version and state of each rule as it would be."""
    job = plan(parse_request(request), STORED, 7, SOURCES)
    assert {each["name"] for each in job.baseline} == {"active", "draft"}
    return {each["name"]: (each["version"], each["state"]) for each in job.draft}


def test_a_stored_draft_becomes_active_in_its_next_version() -> None:
    """As if somebody resumed it; the others stay as they are."""
    assert after(rules=["draft"]) == {"active": (3, "active"), "draft": (4, "active")}


def test_a_whole_rule_stands_in_place_of_the_stored_one() -> None:
    """In the version that it would get, active whatever it says itself; a new name begins at 1."""
    found = after(rules=[{**WHOLE, "state": "draft", "version": 77}, {**WHOLE, "name": "new"}])
    assert found == {"active": (4, "active"), "draft": (3, "draft"), "new": (1, "active")}


def test_versions_go_on_after_a_deletion() -> None:
    """A rule of the name of a deleted one gets the version after it."""
    assert after(rules=[{**WHOLE, "name": "gone"}])["gone"] == (4, "active")


def test_rules_can_be_left_out() -> None:
    """By name, and none that is not there."""
    assert after(without=["active"]) == {"draft": (3, "draft")}
    for name in ("gone", "nobody"):
        with pytest.raises(NotFoundError, match=f"no rule '{name}'"):
            after(without=[name])


def test_topics_are_all_that_the_router_reads_where_none_is_named() -> None:
    """A topic that it does not read is refused: nothing would ever come of it."""
    request = parse_request({"rules": ["draft"]})
    assert plan(request, STORED, 7, SOURCES).range.topics == SOURCES
    request = parse_request({"rules": ["draft"], "topics": ["canonical.claim"]})
    assert plan(request, STORED, 7, SOURCES).range.topics == ("canonical.claim",)
    request = parse_request({"rules": ["draft"], "topics": ["raw.x12"]})
    with pytest.raises(
        InvalidInputError, match=r"does not read 'raw\.x12': it reads canonical\.claim, canonical"
    ):
        plan(request, STORED, 7, SOURCES)


@pytest.mark.parametrize(
    ("content", "field", "part"),
    [
        ({}, "rules", "nothing would change"),
        ({"rules": [1]}, "rules", "expected"),
        ({"rules": ["a"], "sample": 0}, "sample", "sample: "),
        ({"rules": ["a"], "partitions": [-1]}, "partitions", "partitions: "),
        ({"rules": ["a"], "since": "2026-01-01T00:00:00"}, "since", "since: "),
        (
            {"rules": ["a"], "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
            "until",
            "until is not after since",
        ),
        ({"rules": ["a"], "from_offset": 5, "until_offset": 5}, "until_offset", "until_offset is not after"),
        ({"rule": ["a"]}, "", "unknown field rule"),
        ({"rules": ["a"] * 1001}, "rules", "rules has 1001 rules: give at most 1000"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(content: dict[str, Any], field: str, part: str) -> None:
    """One line that names the field and says what to do."""
    with pytest.raises(InvalidInputError) as caught:
        parse_request(content)
    assert caught.value.field == field
    assert part.lower() in str(caught.value).lower()


def test_a_rule_that_is_refused_says_where() -> None:
    """As when it is saved."""
    request = parse_request({"rules": [{**WHOLE, "condition": "event.a >"}]})
    with pytest.raises(RuleError, match="rule 'active': condition line 1 column"):
        plan(request, STORED, 7, SOURCES)


def test_an_active_rule_by_name_is_no_draft() -> None:
    """It would change nothing: the answer says what to give in its place."""
    request: Request = parse_request({"rules": ["active"]})
    with pytest.raises(InvalidInputError, match="'active' is active already: give the rule as it would be"):
        plan(request, STORED, 7, SOURCES)
