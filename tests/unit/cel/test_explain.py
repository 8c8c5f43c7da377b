"""Why a condition is false or failed: the smallest part of it, with the values that it read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings

from fleet.cel.condition import Condition, compile_condition
from fleet.cel.errors import EvaluationError, ExpressionError
from fleet.cel.explain import explain
from fleet.cel.explanation import MAX_ELEMENTS, Finding, Reading
from fleet.cel.expression import Expression, compile_expression
from fleet.cel.values import type_name
from tests.unit.cel.events import EVENT, events
from tests.unit.cel.expressions import conditions

ATTRIBUTES = {"type": "shop.order", "id": "7"}
ORDER = {
    **EVENT,
    "codes": ["A1", "B2", "C3"],
    "numbers": [1, 0, 3],
    "lines": [{"code": "a", "price": 1.5}, {"code": "b", "price": 9.0}],
}

FALSE = [
    ("event.amount > 1000", ["event.amount > 1000 (event.amount = 12.50)"]),
    (
        "event.amount + event.rate * 2 > 1000 && event.flag && event.name == 'x'",
        [
            "event.name == 'x' (event.name = \"2\")",
            "event.amount + event.rate * 2 > 1000 (event.amount = 12.50, event.rate = 0.0125)",
        ],
    ),
    (
        "event.amount > 1000 || attributes.id == 'x'",
        ["event.amount > 1000 (event.amount = 12.50)", "attributes.id == 'x' (attributes.id = \"7\")"],
    ),
    (
        "!(event.flag && event.count == 3)",
        ["event.flag (event.flag = true)", "event.count == 3 (event.count = 3)"],
    ),
    ("!(event.count == 9 || event.flag)", ["event.flag (event.flag = true)"]),
    ("event.flag ? event.count > 5 : true", ["event.count > 5 (event.count = 3)"]),
    ("event.flag ? false : true", ["event.flag (event.flag = true)"]),
    ("has(event.gone)", ["has(event.gone) (event.gone is missing)"]),
    (
        "has(event.customer.parent.name) || event.customer.parent != null",
        [
            "has(event.customer.parent.name) (event.customer.parent = null)",
            "event.customer.parent != null (event.customer.parent = null)",
        ],
    ),
    (
        "event.codes.exists(c, c == 'X')",
        ["event.codes.exists(c, c == 'X') (event.codes has 3 elements, 0 of them match)"],
    ),
    ("[event.count].exists(c, c == 4)", ["c == 4 (c = 3, for [event.count][0])"]),
    (
        "event.lines.all(line, line.code != '' && line.price < 5.0)",
        ["line.price < 5.0 (line.price = 9.0, for event.lines[1])"],
    ),
    (
        "event.lines.exists_one(line, line.price > 1.0)",
        ["event.lines.exists_one(line, line.price > 1.0) (event.lines has 2 elements, 2 of them match)"],
    ),
    ("!event.codes.exists(c, c.startsWith('B'))", ["c.startsWith('B') (c = \"B2\", for event.codes[1])"]),
    (
        "!event.codes.all(c, c.size() == 2)",
        ["event.codes.all(c, c.size() == 2) (event.codes has 3 elements, 3 of them match)"],
    ),
    (
        "event.tags.all(k, event.tags[k] == 'y')",
        ['event.tags[k] == \'y\' (event.tags[k] = "x", for event.tags["a"])'],
    ),
    (
        "event.lines.all(l, event.codes.all(c, c != l.code + '1' && l.price < 2.0))",
        ["l.price < 2.0 (l.price = 9.0, for event.codes[0])"],
    ),
    (
        "event.codes.filter(c, c != 'A1').size() > 2",
        ["event.codes.filter(c, c != 'A1').size() > 2 (event.codes.filter(c, c != 'A1') = [\"B2\", \"C3\"])"],
    ),
    (
        "event.day > event.at || event.clock > duration('13h') || event.raw == b'x'",
        [
            "event.day > event.at (event.day = 2026-01-31T00:00:00Z, event.at = 2026-01-31T12:00:00Z)",
            "event.raw == b'x' (event.raw = 6162)",
            "event.clock > duration('13h') (event.clock = 45000s)",
        ],
    ),
    ("event.note == event.note && event.note == 'x'", ["event.note == 'x' (event.note = \"n\")"]),
    ("false", ["false"]),
]


@pytest.mark.parametrize(("text", "findings"), FALSE)
def test_a_false_condition_is_explained_by_its_smallest_parts(text: str, findings: list[str]) -> None:
    """Of a conjunction the false operands, of a disjunction all, of a macro the element that decided."""
    explanation = explain(compile_condition(text), ATTRIBUTES, ORDER)

    assert (explanation.verdict, explanation.reason) == ("false", "")
    assert list(map(str, explanation.findings)) == findings


GONE = "no such field 'gone'; guard it with has()"
FAILED = [
    (
        "event.gone == 1",
        "no such field 'gone'; guard it with has()",
        ["event.gone (event.gone is missing, {reason})"],
    ),
    (
        "event.count / 0 == 1 && event.flag",
        "division by zero",
        ["event.count / 0 (event.count = 3, {reason})"],
    ),
    (
        "event.customer.parent.name == 'x' || event.count == 4",
        "no such field 'name': null has no fields",
        ["event.customer.parent.name (event.customer.parent = null, {reason})"],
    ),
    (
        "event.numbers.all(i, 6 / i > 1)",
        "division by zero",
        ["6 / i (i = 0, {reason}, for event.numbers[1])"],
    ),
    (
        "event.numbers.map(i, 6 / i).size() > 3",
        "division by zero",
        ["6 / i (i = 0, {reason}, for event.numbers[1])"],
    ),
    (
        "event.gone.exists(x, x)",
        "no such field 'gone'; guard it with has()",
        ["event.gone (event.gone is missing, {reason})"],
    ),
    (
        "event.gone ? true : false",
        "no such field 'gone'; guard it with has()",
        ["event.gone (event.gone is missing, {reason})"],
    ),
    (
        "event.flag ? event.count / 0 == 1 : true",
        "division by zero",
        ["event.count / 0 (event.count = 3, {reason})"],
    ),
    ("event.count.exists(x, x)", None, ["event.count.exists(x, x) ({reason})"]),
]


@pytest.mark.parametrize(("text", "reason", "findings"), FAILED)
def test_a_failure_is_explained_by_the_part_that_failed(
    text: str, reason: str | None, findings: list[str]
) -> None:
    """The innermost part, with what it read and why it failed."""
    explanation = explain(compile_condition(text), ATTRIBUTES, ORDER)

    assert explanation.verdict == "error"
    assert explanation.reason == (reason or explanation.reason)
    assert list(map(str, explanation.findings)) == [
        text.format(reason=explanation.reason) for text in findings
    ]


@pytest.mark.parametrize(
    "text", ["event.name && event.flag", "event.name || false", "event.codes.all(c, c)", "event.name"]
)
def test_what_is_neither_true_nor_false_is_explained_as_a_failure(text: str) -> None:
    """A rule over an unknown source may get a text where it wants a truth value."""
    explanation = explain(compile_condition(text), ATTRIBUTES, ORDER)

    assert explanation.verdict == "error"
    assert [finding.note.split(",")[0] for finding in explanation.findings] == ["must be true or false"]


def test_a_true_condition_needs_no_explanation() -> None:
    """What matched is known by its copies."""
    explanation = explain(compile_condition("event.count == 3"), ATTRIBUTES, ORDER)

    assert (explanation.verdict, explanation.findings) == ("true", ())


def test_a_finding_tells_where_it_is_and_what_it_read() -> None:
    """Line and column of the beginning, path, type and JSON value, and the fields for whoever masks some."""
    text = "event.flag &&\n  event.lines.all(l, l.price * 2.0 < 9.5)"

    (finding,) = explain(compile_condition(text), ATTRIBUTES, ORDER).findings

    reading = Reading("l.price", "double", 9.0, ("lines",))
    assert finding == Finding("l.price * 2.0 < 9.5", 2, 22, (reading,), "for event.lines[1]")


def test_long_values_are_shown_in_part() -> None:
    """A person reads the explanation: ten elements say as much as ten thousand."""
    event = {"texts": ["x" * 300] * 50, "tags": {f"k{n}": n for n in range(50)}, "score": float("inf")}
    text = "event.texts == [] || event.tags == {} || event.score < 1.0"

    findings = explain(compile_condition(text), {}, event).findings
    values = {reading.path: reading.value for finding in findings for reading in finding.reads}

    assert values["event.texts"] == [*["x" * 200 + "..."] * MAX_ELEMENTS, "..."]
    assert len(values["event.tags"]) == MAX_ELEMENTS + 1
    assert values["event.score"] == "inf"


def test_many_elements_are_looked_at_in_one_go() -> None:
    """An explanation over a long list is a matter of its length, not of compiling it for each element."""
    event = {"numbers": list(range(20_000))}

    explanation = explain(compile_condition("event.numbers.all(n, n < 19999)"), {}, event)

    assert [str(finding) for finding in explanation.findings] == [
        "n < 19999 (n = 19999, for event.numbers[19999])"
    ]


@settings(max_examples=200, deadline=None)
@given(conditions, events)
def test_an_explanation_agrees_with_the_decision(text: str, event: dict[str, Any]) -> None:
    """The verdict is the decision; each part named is false, or true under a negation, or fails by itself."""
    try:
        condition = compile_condition(text)
    except ExpressionError:
        assume(False)  # noqa: FBT003 - as the library has it
    explanation = explain(condition, ATTRIBUTES, event)
    verdict = explanation.verdict

    assert (verdict, explanation.reason) == _decided(condition, event)
    assert bool(explanation.findings) is (verdict != "true")
    assert explain(condition, ATTRIBUTES, event) == explanation
    expected = {"error": {"error"}, "false": {"false", "true"} if set(text) & {"!", "?"} else {"false"}}
    for finding in explanation.findings:
        json.dumps([reading.value for reading in finding.reads], allow_nan=False)
        # What is said of an element cannot be asked without it.
        if "for " not in finding.note:
            assert _decided(compile_expression(finding.text), event)[0] in expected[verdict]


def _decided(expression: Expression | Condition, event: dict[str, Any]) -> tuple[str, str]:
    try:
        value = expression.evaluate(ATTRIBUTES, dict, event)
    except EvaluationError as error:
        return "error", error.message
    if isinstance(value, bool):
        return ("true" if value else "false"), ""
    return "error", f"the condition must be true or false, got {type_name(value)}"
