"""Groups, defaults, patterns, templates: which of the rules that match an event route it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.router.domain.decision import MAX_COPIES, Decision, Failure, Redrive, Target
from agents.router.domain.routing import RuleSet
from tables.routes.rule import Rule, State

CLAIM = "canonical.claim"
FAILS = "event.missing > 1"
NO_FIELD = "no such field 'missing'; guard it with has()"


def rule(name: str, condition: str = "", *targets: str, **change: Any) -> Rule:
    """Return an active rule, whose target is called after it."""
    known: dict[str, Any] = {"version": 1, "owner": "team", "source": CLAIM, "state": State.ACTIVE}
    return Rule(name=name, condition=condition, targets=targets or (f"to.{name}",), **{**known, **change})


def decide(*rules: Rule, event_type: str = CLAIM, attributes: Any = None, **event: Any) -> Decision:
    """Return the decision, which is the same in whatever order the rules come."""
    decisions = {
        RuleSet.of(order).decide(event_type, attributes or {}, lambda: event)
        for order in itertools.islice(itertools.permutations(rules), 24)
    }
    (decision,) = decisions
    return decision


def topics(decision: Decision) -> list[str]:
    """Return where copies go."""
    return [target.topic for target in decision.targets]


def test_of_a_group_the_first_that_matches_routes() -> None:
    """By priority, then by name; rules without a group, and other groups, have their own say."""
    decision = decide(
        rule("a", "", group="g", priority=2),
        rule("b", "event.n > 5", group="g", priority=1),
        rule("c", "", group="g", priority=1),
        rule("d"),
        rule("e", "", group="h"),
        n=3,
    )
    assert topics(decision) == ["to.c", "to.d", "to.e"]
    assert decision.matched == ("c", "d", "e")


def test_a_default_has_its_turn_after_the_others_of_its_group() -> None:
    """Whatever its priority says."""
    rules = [rule("a", "event.n > 5", group="g", priority=9), rule("z", "", group="g", default=True)]
    assert topics(decide(*rules, n=9)) == ["to.a"]
    assert topics(decide(*rules, n=1)) == ["to.z"]


def test_a_default_without_a_group_routes_what_nothing_else_matched() -> None:
    """Neither a rule by itself nor one of a group; its own condition holds too."""
    rules = [
        rule("a", "event.n == 1"),
        rule("b", "event.n == 2", group="g"),
        rule("z", "event.n < 9", default=True),
    ]
    assert [topics(decide(*rules, n=n)) for n in (1, 2, 3, 9)] == [["to.a"], ["to.b"], ["to.z"], []]


def test_a_failure_holds_back_the_rest_of_its_group_and_defaults() -> None:
    """Whether it would have matched is not known, so nobody takes its place."""
    decision = decide(
        rule("a", "event.n > 5", group="g"),
        rule("b", FAILS, group="g"),
        rule("c", "", group="g"),
        rule("z", "", default=True),
        n=1,
    )
    assert decision == Decision((), (Failure("b", 1, NO_FIELD),), (), defaulted=True)


def test_a_failure_behind_the_first_match_does_not_count() -> None:
    """A group is settled by then; the rule is not even looked at, as far as anyone can tell."""
    decision = decide(rule("a", "", group="g"), rule("b", FAILS, group="g"))
    assert (topics(decision), decision.errors) == (["to.a"], ())


def test_a_pattern_covers_types() -> None:
    """A rule for ``canonical.*`` looks at events of each such type, beside the rules for one type."""
    rules = [rule("a", "", source="canonical.*"), rule("b"), rule("c", "", source="*")]
    assert topics(decide(*rules)) == ["to.a", "to.b", "to.c"]
    assert topics(decide(*rules, event_type="canonical.payment")) == ["to.a", "to.c"]
    assert topics(decide(*rules, event_type="lab.result")) == ["to.c"]


def test_a_template_is_filled_in_for_each_event() -> None:
    """What the attributes make no topic of is a failure of the target, and the other targets get theirs."""
    of_region = rule("a", "", "claims.{region}", "claims.all")
    assert topics(decide(of_region, attributes={"region": "TX"})) == ["claims.TX", "claims.all"]
    decision = decide(of_region, attributes={"region": "a b"})
    assert topics(decision) == ["claims.all"]
    (failure,) = decision.errors
    assert (failure.rule, failure.step) == ("a", "target")


def test_copies_of_an_event_are_bounded() -> None:
    """Rules that together name more topics than an event may go to: the rest are failures."""
    many = [rule(f"r{number}", "", *(f"t{number}.{at}" for at in range(90))) for number in range(3)]
    decision = RuleSet.of(many).decide(CLAIM, {}, dict)
    assert len(decision.targets) == MAX_COPIES
    assert len(decision.errors) == 270 - MAX_COPIES


@pytest.mark.parametrize(
    ("redrive", "mended", "wanted"),
    [
        (Redrive("b"), "event.n == 1", ["to.b"]),
        (Redrive("b"), "event.n == 2", ["to.c"]),
        (Redrive("b", defaulted=True), "event.n == 2", ["to.c"]),
        (Redrive("a"), "event.n == 2", ["to.a"]),
        (Redrive("d", "to.d2"), "event.n == 2", ["to.d2"]),
        (Redrive("gone"), "event.n == 2", []),
    ],
)
def test_a_redrive_does_what_its_dead_letter_left_undone(
    redrive: Redrive, mended: str, wanted: list[str]
) -> None:
    """Of the whole decision only the rule that failed, what waited behind it in its group, or one copy."""
    rules = {
        each.name: each
        for each in (
            rule("a"),
            rule("b", mended, group="g"),
            rule("c", "", group="g"),
            rule("d", "", "to.d1", "to.d2"),
            rule("z", "", default=True),
        )
    }
    decision = decide(*rules.values(), n=1)
    assert topics(redrive.of(decision, rules)) == wanted


def test_defaults_wait_for_one_dead_letter() -> None:
    """A default that an error held back comes with the letter that says so, where then nothing matches."""
    rules = {each.name: each for each in (rule("b", "event.n == 2"), rule("z", "", default=True))}
    decision = decide(*rules.values(), n=1)
    assert topics(Redrive("b", defaulted=True).of(decision, rules)) == ["to.z"]
    assert topics(Redrive("b").of(decision, rules)) == []


PLACES = st.tuples(st.sampled_from(["", "g", "h"]), st.integers(0, 2), st.booleans(), st.sampled_from("mnf"))


def expected(rules: list[Rule], outcome: dict[str, str]) -> list[str]:
    """Return the names of the rules that route, by the rule book read aloud."""
    routing, failed = [], False
    for group in ("g", "h"):
        members = sorted(
            (each for each in rules if each.group == group),
            key=lambda each: (each.default, each.priority, each.name),
        )
        for each in members:
            if outcome[each.name] == "f":
                failed = True
                break
            if outcome[each.name] == "m":
                routing.append(each.name)
                break
    plain = [each for each in rules if not each.group and not each.default]
    routing += [each.name for each in plain if outcome[each.name] == "m"]
    failed = failed or any(outcome[each.name] == "f" for each in plain)
    if not routing and not failed:
        last = [each for each in rules if not each.group and each.default]
        routing = [each.name for each in last if outcome[each.name] == "m"]
    return sorted(routing)


@given(st.lists(PLACES, max_size=7))
def test_groups_and_defaults_are_as_the_rule_book_says(places: list[tuple[str, int, bool, str]]) -> None:
    """Whatever matches, fails or does neither."""
    conditions = {"m": "true", "n": "false", "f": FAILS}
    rules = [
        rule(f"r{number}", conditions[outcome], group=group, priority=priority, default=default)
        for number, (group, priority, default, outcome) in enumerate(places)
    ]
    outcomes = {each.name: place[3] for each, place in zip(rules, places, strict=True)}
    decision = RuleSet.of(rules).decide(CLAIM, {}, dict)
    assert [target.rule for target in decision.targets] == expected(rules, outcomes)
    assert list(decision.targets) == [Target(f"to.{name}", name, 1) for name in decision.matched]
