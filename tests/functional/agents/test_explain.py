"""Explaining an event in memory: each rule's verdict, why, and that it is the router's own decision."""

from __future__ import annotations

from typing import Any

import pytest

from agents.router.domain.timeline import Timeline
from agents.router.explaining.verdicts import explained
from agents.router.route import COUNTS, Router
from schemas.codec import Codec
from tables.routes.rule import Rule, parse_rule
from tests.support.agents_claims import a_claim
from tests.support.agents_memory import Partition
from tests.support.agents_schemas import warmed_codec
from tests.support.lane_fakes import SourceRecord

HEADERS = (
    ("ce_id", b"1"),
    ("ce_type", b"canonical.claim"),
    ("ce_region", b"TX"),
)


@pytest.fixture
async def codec() -> Codec:
    """A codec over the catalogue's schemas."""
    return await warmed_codec()


def rule(name: str, condition: str = "true", **fields: Any) -> Rule:
    """Return an active rule with a target of its own."""
    plain = {"name": name, "version": 1, "owner": "team", "source": "canonical.claim", "state": "active"}
    return parse_rule({**plain, "targets": [f"team.{name}"], "condition": condition, **fields})


def said(codec: Codec, *rules: Rule, **record: Any) -> dict[str, Any]:
    """Return what is said of a claim of 250.00, after checking its copies against the live router's."""
    value = codec.encode("canonical.claim-value", a_claim(charge="250.00"))
    event = SourceRecord(**{"value": value, "topic": "canonical.claim", "headers": HEADERS, **record})
    timeline = Timeline.of(rules, 70)
    found = explained(timeline, event, codec)
    partition = Partition(Router(codec).process, [COUNTS]).chunk([event], timeline)
    live = sorted((emit.topic, dict(labels(emit))["fleet_rule"].decode()) for emit in partition.emits)
    assert [(each["topic"], each["rule"]) for each in found["copies"]] == live
    return {**found, "rules": {each["rule"].partition("@")[0]: each for each in found["rules"]}}


def labels(emit: Any) -> Any:
    """Return the headers that say which rule made a copy."""
    return emit.added if hasattr(emit, "added") else emit.headers


def verdict(found: dict[str, Any], name: str) -> tuple[str, str]:
    """Return the verdict of a rule, and its reason."""
    told = found["rules"][name]
    return told["verdict"], told.get("reason", "")


def test_a_match_names_its_targets(codec: Codec) -> None:
    """Each target with what became of it; templates are filled in."""
    found = said(codec, rule("r", targets=["team.{region}", "team.{nowhere}"]))
    assert found["rules"]["r"]["verdict"] == "matched"
    assert found["rules"]["r"]["targets"] == [
        {"topic": "team.TX", "outcome": "copy"},
        {
            "topic": "team.{nowhere}",
            "outcome": "error",
            "reason": "target team.{nowhere}: the event has no attribute 'nowhere'",
        },
    ]
    assert (found["config_offset"], found["event_type"]) == (70, "canonical.claim")


def test_a_non_match_shows_the_smallest_part_that_is_false(codec: Codec) -> None:
    """With its place and the values that it read."""
    condition = "attributes.region == 'TX' && (event.total_charge > 1000 || event.place_of_service == 'x')"
    (part, other) = said(codec, rule("r", condition))["rules"]["r"]["why"]
    assert part["said"] == "event.total_charge > 1000 (event.total_charge = 250.00)"
    assert (part["line"], part["column"]) == (1, 31)
    assert part["reads"][0]["value"] == "250.00"
    assert other["text"] == "event.place_of_service == 'x'"


def test_an_error_shows_the_part_that_failed(codec: Codec) -> None:
    """With the reason that its dead letter gives."""
    found = said(codec, rule("r", "1 / (event.service_lines.size() - event.service_lines.size()) == 1"))
    told = found["rules"]["r"]
    assert told["verdict"] == "error"
    assert "zero" in told["reason"]
    assert told["why"][0]["text"].startswith("1 / ")


def test_in_a_group_the_first_match_stands_for_the_rest(codec: Codec) -> None:
    """Those after it say which rule came first; those before it, why they did not match."""
    found = said(
        codec,
        rule("a", "event.total_charge > 1000", group="g", priority=1),
        rule("b", group="g", priority=2),
        rule("c", group="g", priority=3),
        rule("d", group="g", default=True),
    )
    assert [verdict(found, name)[0] for name in "abcd"] == [
        "not_matched",
        "matched",
        "passed_over",
        "passed_over",
    ]
    assert verdict(found, "c")[1] == "rule b of group g matches first"
    assert found["rules"]["c"]["group"] == "g"


def test_a_failure_stands_for_the_rest_of_its_group(codec: Codec) -> None:
    """Whether it would have matched is not known."""
    found = said(codec, rule("a", "1 / 0 == 1", group="g", priority=1), rule("b", group="g", priority=2))
    assert verdict(found, "b") == ("passed_over", "rule a of group g failed, and stands for the rest of it")


def test_a_default_tells_who_came_before_it(codec: Codec) -> None:
    """A rule that matched, one that failed, or nobody."""
    last = rule("z", default=True)
    assert verdict(said(codec, rule("a"), last), "z") == (
        "passed_over",
        "a default comes last, and a matched",
    )
    assert verdict(said(codec, rule("a", "1 / 0 == 1"), last), "z") == (
        "passed_over",
        "a default comes last, and what a says is not known",
    )
    assert verdict(said(codec, rule("a", "false"), last), "z")[0] == "matched"


def test_a_target_that_another_rule_has_is_taken(codec: Codec) -> None:
    """Each topic gets an event once: the other rule is named."""
    found = said(codec, rule("a", targets=["team.t"]), rule("b", targets=["team.t", "team.u"]))
    assert found["rules"]["b"]["targets"] == [
        {"topic": "team.t", "outcome": "taken", "reason": "rule a sends it there already"},
        {"topic": "team.u", "outcome": "copy"},
    ]


def test_rules_that_do_not_look_at_it_say_why(codec: Codec) -> None:
    """Another source, another state, another time; none of them is evaluated."""
    found = said(
        codec,
        rule("elsewhere", source="canonical.remittance"),
        rule("paused", state="paused"),
        rule("later", valid_from="2030-01-01T00:00:00Z"),
    )
    assert verdict(found, "elsewhere") == (
        "other_source",
        "it looks at canonical.remittance, not at canonical.claim",
    )
    assert verdict(found, "paused") == ("not_active", "it is paused")
    assert verdict(found, "later") == (
        "not_valid",
        "it is valid for events published from 2030-01-01T00:00:00+00:00",
    )


def test_what_cannot_be_decoded_is_said_of_every_rule(codec: Codec) -> None:
    """One rule that reads fields makes the whole event a dead letter, whatever the others say."""
    found = said(codec, rule("fields", "event.total_charge > 1"), rule("headers"), value=b"junk")
    assert {verdict(found, name)[0] for name in ("fields", "headers")} == {"undecodable"}
    assert found["undecodable"] == "the value does not begin with 0x00 and a schema id"
    assert verdict(said(codec, rule("headers"), value=b"junk"), "headers")[0] == "matched"


def test_a_copy_that_cannot_be_made_says_why(codec: Codec) -> None:
    """A key that fails, and an event that has been routed on too often."""
    keyed = rule("keyed", key="event.service_lines[99].procedure_code")
    (target,) = said(codec, keyed)["rules"]["keyed"]["targets"]
    assert target["outcome"] == "error"
    assert target["reason"].startswith("key: ")
    old = (*HEADERS, ("fleet_rule", b"old@1"), ("fleet_hops", b"8"))
    (target,) = said(codec, rule("r"), headers=old)["rules"]["r"]["targets"]
    assert target == {"topic": "team.r", "outcome": "error", "reason": "routed on 8 times already"}
