"""The index of the rules: the same decisions as looking at every rule, by looking at a few."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.router.domain.decision import Failure, Target
from agents.router.domain.index import Index
from agents.router.domain.routing import RuleSet
from fleet.cel.condition import compile_condition
from fleet.cel.errors import EvaluationError
from tables.routes.rule import Rule, State

TYPE = "canonical.claim"
TEXTS = st.sampled_from(["a", "b", "c", ""])
OPERANDS = st.sampled_from(
    ["attributes.x", "attributes.y", "event.p", "event.q", "event.r.s", 'event["p"]', "event.n"]
)


def equality(operand: str, value: str, *, flipped: bool) -> str:
    """Return a comparison, with either side first."""
    return f"'{value}' == {operand}" if flipped else f"{operand} == '{value}'"


TERMS = st.one_of(
    st.builds(equality, OPERANDS, TEXTS, flipped=st.booleans()),
    st.builds(lambda operand, values: f"{operand} in {values}", OPERANDS, st.lists(TEXTS, max_size=3)),
    st.builds("{} != '{}'".format, OPERANDS, TEXTS),
    st.builds("{} in ['a', {}]".format, OPERANDS, OPERANDS),
    st.sampled_from(["event.n > 1", "true", "false", "event.r.s.startsWith('a')", "event.n == 1"]),
)
CONDITIONS = st.one_of(
    st.lists(TERMS, min_size=1, max_size=3).map(" && ".join),
    st.lists(TERMS, min_size=2, max_size=3).map(" || ".join),
    st.builds("({}) && ({} || {})".format, TERMS, TERMS, TERMS),
    st.just(""),
)
VALUES = st.sampled_from(["a", "b", "c", "", "z", None, 1, {"s": "a"}])
EVENTS = st.dictionaries(st.sampled_from(["p", "q", "r", "n"]), VALUES)
ATTRIBUTES = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["a", "b", "", "z"]))


def rule(number: int, condition: str) -> Rule:
    """Return an active rule."""
    return Rule(
        name=f"r{number:04d}",
        version=1,
        owner="team",
        source=TYPE,
        targets=(f"t{number}",),
        condition=condition,
        state=State.ACTIVE,
    )


def one_by_one(rules: list[Rule], attributes: dict[str, str], event: dict[str, Any]) -> Any:
    """Look at every rule; return its targets and errors."""
    targets, errors = [], []
    for each in rules:
        try:
            if compile_condition(each.condition).matches(attributes, lambda: event):
                targets.append(Target(each.targets[0], each.name, 1))
        except EvaluationError as error:
            errors.append(Failure(each.name, 1, error.message))
    return tuple(targets), tuple(errors)


@settings(deadline=None, max_examples=400)
@given(st.lists(CONDITIONS, max_size=8), ATTRIBUTES, EVENTS)
def test_decisions_are_those_of_looking_at_every_rule(
    conditions: list[str], attributes: dict[str, str], event: dict[str, Any]
) -> None:
    """Whatever the rules, the attributes and the fields, missing and mistyped ones too."""
    rules = [rule(number, condition) for number, condition in enumerate(conditions)]
    decision = RuleSet.of(rules).decide(TYPE, attributes, lambda: event)
    assert (decision.targets, decision.errors) == one_by_one(rules, attributes, event)


def index_of(*conditions: str) -> Index[str]:
    """Return an index of rules that are their conditions."""
    return Index(conditions, compile_condition)


def test_few_of_many_rules_are_looked_at() -> None:
    """Of a thousand rules by region an event of one region leaves one, and those that do not ask for it."""
    regions = [f"attributes.region == 'R{number}' && attributes.x != 'y'" for number in range(1000)]
    index = index_of(*regions[:500], "attributes.x == 'z'", *regions[500:])
    assert index.candidates({"region": "R7"}) == (regions[7], "attributes.x == 'z'")
    assert index.candidates({"region": "elsewhere"}) == ("attributes.x == 'z'",)
    assert len(index.candidates({})) == 1001


def test_a_nested_field_tells_rules_apart() -> None:
    """Rules that begin with a field of the event are found by its value, inside a record too."""
    rules = [f"event.payer.id == 'P{number}' && event.total > 5" for number in range(100)]
    index = index_of(*rules)
    assert index.candidates({}, {"payer": {"id": "P42"}}) == (rules[42],)
    assert len(index.candidates({}, {"payer": None})) == 100


def test_rules_by_attribute_do_not_decode_the_event() -> None:
    """An event that its attributes rule out is not decoded, though rules also name fields."""
    index = index_of("attributes.x == 'a' && event.p == 'a'", "attributes.x == 'b' && event.p == 'a'")
    assert not index.reads_fields
    assert index.candidates({"x": "c"}) == ()


def test_other_fields_tell_the_rest_apart() -> None:
    """Where the event is decoded in any case, any field that a rule asks for finds it."""
    index = index_of(
        *(f"event.payer.id == 'P{number}'" for number in range(10)),
        "event.total > 5 && event.place == '23'",
        "event.total > 7",
        "event.kind in ['RP', '31'] && event.total > 5",
    )
    event = {"payer": {"id": "P3"}, "place": "11", "kind": "RP", "total": 9}
    assert index.candidates({}, event) == (
        "event.payer.id == 'P3'",
        "event.total > 7",
        "event.kind in ['RP', '31'] && event.total > 5",
    )
    assert "event.total > 5 && event.place == '23'" in index.candidates({}, {**event, "place": None})
