"""One snapshot of the rules deciding events."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NoReturn

import pytest

from agents.router.domain.decision import UNMATCHED, Failure, Target
from agents.router.domain.routing import RuleSet
from fleet.errors import PermanentError
from tables.routes.errors import RuleError
from tables.routes.rule import Rule, State

CLAIM = "canonical.claim"


def _rule(name: str, condition: str = "", *targets: str, **change: Any) -> Rule:
    known: dict[str, Any] = {"version": 1, "owner": "team", "source": CLAIM, "state": State.ACTIVE}
    return Rule(name=name, condition=condition, targets=targets or ("team.out",), **{**known, **change})


def _decide(*rules: Rule, event_type: str = CLAIM, **event: Any) -> Any:
    return RuleSet.of(rules).decide(event_type, {"type": event_type}, lambda: event)


def test_an_event_goes_to_the_targets_of_every_rule_that_matches() -> None:
    """All matching rules count, each copy tells the rule and the version that asked for it."""
    decision = _decide(
        _rule("b", "event.a == 1", "team.b", version=7),
        _rule("a", "", "team.a1", "team.a2"),
        _rule("c", "event.a == 2"),
        a=1,
    )

    assert decision.targets == (
        Target("team.a1", "a", 1),
        Target("team.a2", "a", 1),
        Target("team.b", "b", 7),
    )
    assert decision.matched


def test_a_topic_gets_one_copy_for_the_first_rule_by_name_in_any_order() -> None:
    """Two rules with one target make one copy, and the order in which rules arrive changes nothing."""
    rules = [_rule("x", "", "team.one"), _rule("m", "", "team.two", "team.one"), _rule("z", "", "team.two")]

    decisions = {_decide(*order) for order in itertools.permutations(rules)}

    assert len(decisions) == 1
    assert decisions.pop().targets == (Target("team.two", "m", 1), Target("team.one", "m", 1))


@pytest.mark.parametrize("state", [State.DRAFT, State.PAUSED])
def test_only_active_rules_match(state: State) -> None:
    """A draft or a paused rule is kept and never decides."""
    rules = RuleSet.of([_rule("a", state=state)])

    assert rules.decide(CLAIM, {}, dict) == UNMATCHED
    assert (len(rules.rules), rules.sources) == (1, frozenset())


def test_a_rule_sees_only_events_of_its_source() -> None:
    """Another event type is unmatched, and never decoded."""
    decision = _decide(_rule("a"), event_type="canonical.payment")

    assert decision is UNMATCHED
    assert not decision.matched


def test_a_rule_that_fails_does_not_stop_the_others() -> None:
    """Matched targets are delivered; the failure is told by rule, version and reason."""
    decision = _decide(_rule("a", "event.missing > 1", version=2), _rule("b", "", "team.b"))

    assert decision.targets == (Target("team.b", "b", 1),)
    assert decision.errors == (Failure("a", 2, "no such field 'missing'; guard it with has()"),)
    assert decision.matched


def test_a_failure_alone_is_no_match() -> None:
    """An event whose only rule failed is a dead letter, not an unmatched event in silence."""
    decision = _decide(_rule("a", "event.missing > 1"))

    assert (decision.targets, decision.matched, len(decision.errors)) == ((), (), 1)


def test_rules_share_one_decode_of_an_event() -> None:
    """However many rules read fields, the event is decoded once."""
    decoded = []

    def fields() -> Mapping[str, Any]:
        decoded.append(1)
        return {"a": 1}

    rules = RuleSet.of([_rule("a", "event.a == 1"), _rule("b", "event.a == 2"), _rule("c", "event.a > 0")])

    assert rules.decide(CLAIM, {}, fields).matched
    assert decoded == [1]


def test_an_event_that_does_not_decode_is_decided_by_no_rule() -> None:
    """The error of decoding passes through: the event is set aside whole, or tried again later."""

    def fields() -> NoReturn:
        raise PermanentError("value is not Avro", reason="not_avro")

    rules = RuleSet.of([_rule("a", "", "team.a"), _rule("b", "event.a == 1")])

    with pytest.raises(PermanentError, match="not Avro"):
        rules.decide(CLAIM, {}, fields)


def test_a_rule_set_tells_which_events_need_a_decode() -> None:
    """Only active rules that read fields make an event type worth decoding."""
    rules = RuleSet.of(
        [
            _rule("a", 'attributes.id == "1"', source="one"),
            _rule("b", "event.a == 1", source="two"),
            _rule("c", "event.a == 1", source="three", state=State.PAUSED),
        ]
    )

    assert [rules.reads_fields(source) for source in ("one", "two", "three", "four")] == [
        False,
        True,
        False,
        False,
    ]
    assert rules.sources == {"one", "two"}


def test_two_rules_of_one_name_are_refused() -> None:
    """A name is the key of the table: which of two would count is never guessed."""
    with pytest.raises(RuleError, match="rule 'a' is given twice: keep one version of it"):
        RuleSet.of([_rule("a"), _rule("a", version=2)])


def test_a_rule_whose_condition_does_not_compile_is_refused() -> None:
    """A snapshot is never built with a rule that cannot run."""
    with pytest.raises(RuleError, match="condition line 1 column 1: unknown name 'x'"):
        RuleSet.of([_rule("a", "x")])
