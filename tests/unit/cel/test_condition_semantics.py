"""Points of the language that the reference evaluator cannot show: decimals, null, laziness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cel import EvaluationError, compile_condition, compile_expression
from fleet.errors import TransientError
from tests.unit.cel.reference import ERROR, compiled


def _matches(text: str, **event: Any) -> bool:
    return compile_condition(text).matches({"type": "canonical.claim"}, lambda: event)


def _value(text: str) -> Any:
    return compile_expression(text).evaluate({}, dict)


@pytest.mark.parametrize(
    ("text", "charge", "expected"),
    [
        ("event.charge > 1000", "1000.01", True),
        ("event.charge > 1000", "1000.00", False),
        ("1000 < event.charge", "1000.01", True),
        ("event.charge == 0.1", "0.1", True),
        ("0.1 == event.charge", "0.10", True),
        ("event.charge != 0.1", "0.1", False),
        ("event.charge == -0.1", "-0.1", True),
        ("event.charge == - 0.1", "-0.1", True),
        ("event.charge >= 1000.10", "1000.1", True),
        ("event.charge in [0.1, 0.2]", "0.2", True),
        ("event.charge in [1, 2]", "2.00", True),
        ("event.charge in [0.0, 1.5]", "0.00", True),
        ("2.5 == decimal('2.50') && decimal('0.1') == 0.1", "1", True),
        ("event.charge + 0.1 == 0.3", "0.2", True),
        ("0.1 + event.charge == 0.3", "0.2", True),
        ("event.charge * 1.1 == 1.21", "1.1", True),
        ("event.charge - 1 == 0.5", "1.5", True),
        ("event.charge / 4 == 0.25", "1", True),
        ("-event.charge == 5", "-5.0", True),
        ("event.charge > event.count", "3.5", True),
        ("event.charge == event.count", "3.0", True),
        ("event.charge == 3u", "3.0", True),
        ("event.charge == 12345678901234567.89", "12345678901234567.89", True),
        ("event.charge == 12345678901234567.89", "12345678901234567.88", False),
    ],
)
def test_decimals_are_exact_beside_literals_and_integers(text: str, charge: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """A number written in the condition means what it says, to the last digit."""
    assert _matches(text, charge=Decimal(charge), count=3) is expected


@given(st.decimals(-(10**12), 10**12, places=2), st.decimals(-(10**12), 10**12, places=2))
def test_a_decimal_compares_with_any_literal_as_decimals_do(charge: Decimal, bound: Decimal) -> None:
    """For every pair of amounts the compiled comparison equals exact arithmetic."""
    assert _matches(f"event.charge > {bound}", charge=charge) is (charge > bound)
    assert _matches(f"event.charge == {bound}", charge=charge) is (charge == bound)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("event.charge > event.score", "no such overload: decimal > double"),
        ('event.charge > "1000"', "no such overload: decimal > string"),
        ("event.charge + event.score > 0", "no such overload: decimal + double"),
        ("event.charge % 2 == 0", "no such overload: decimal % int"),
        ("event.charge / 0 > 1", "division by zero"),
        ("event.huge * event.huge * event.huge > 1", "decimal overflow"),
        ("event.missing > 1", "no such field 'missing'; guard it with has()"),
        ("attributes.subject == 'x'", "no such field 'subject'; guard it with has()"),
        ("event.none.id == 1", "no such field 'id': null has no fields"),
        ("event.codes[5] == 1", "index out of range"),
        ("event.codes[-1] == 1", "index out of range"),
        ("event.codes == 1", "no such overload: list == int"),
        ("event.count + 9223372036854775807 > 0", "int overflow"),
        ("event.count", "the condition must be true or false, got int"),
        ("!event.count", "no such overload: !(int)"),
        ("event.day < event.count", "no such overload: timestamp < int"),
    ],
)
def test_an_evaluation_error_names_types_and_fields(text: str, reason: str) -> None:
    """The reason says what went wrong without a value of the event."""
    event = {
        "charge": Decimal("12.50"),
        "huge": Decimal("9" * 38),
        "score": 1.5,
        "count": 3,
        "none": None,
        "codes": [1, 2],
        "day": datetime(2026, 1, 1, tzinfo=UTC),
    }

    with pytest.raises(EvaluationError) as failed:
        _matches(text, **event)

    assert failed.value.message == reason


@pytest.mark.parametrize("value", [1, "", 0.5, b"", True, [], {}, Decimal(0), None])
def test_null_compares_with_every_type(value: Any) -> None:
    """A nullable field is tested with ``== null`` whatever it holds (language definition, Equality)."""
    assert _matches("event.a == null", a=value) is (value is None)
    assert _matches("null != event.a", a=value) is (value is not None)
    assert _matches("event.a in [null]", a=value) is (value is None)


@pytest.mark.parametrize(
    "text",
    [
        *("true == 1", "true < 2", "true + 1", "true + true", "true in [1]"),
        *("1.0 - 1", "1 - 2u", "1u + 1", "1 == 1.0", "1 < 1.5", "1u < 2", "1 == 1u"),
        *('"a" == b"a"', '"a" in "abc"', '"abc"[0]', "event.m[null]"),
        *("1 && true", "1 || false", "size(null)", '"abc".exists(c, true)'),
    ],
)
def test_types_are_never_converted(text: str) -> None:
    """Where the reference converts in silence, the compiled condition is strict, as the definition asks."""
    assert compiled(text, {"m": {}}) == ERROR


def test_doubles_divide_as_ieee_754_does() -> None:
    """Division by zero gives infinities with their sign, and no number from nothing."""
    assert _value("-1.0 / 0.0") == -math.inf
    assert _value("1.0 / -0.0") == -math.inf
    assert not _matches("0.0 / 0.0 == 0.0 / 0.0")


def test_strings_keep_their_line_breaks_and_escapes() -> None:
    """Quoted text arrives as it was written, in every form that the language has."""
    assert _value('"""a\nb"""') == "a\nb"
    assert _value(r'"\a\b\f\n\r\t\v\\\?\"\'\`"') == "\a\b\f\n\r\t\v\\?\"'`"
    assert _value(r'"\x41\u00e9\101"') == "Aéa".replace("a", "A")
    assert _value(r"'\U0001F600'") == "😀"
    assert _value(r"""b'é\xff\377'""") == b"\xc3\xa9\xff\xff"
    assert _value(r"br'\x'") == rb"\x"


def test_timestamps_compare_with_each_other() -> None:
    """Two decoded timestamps are ordered by the instant."""
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)

    assert _matches("event.early < event.late && event.early != event.late", early=early, late=late)


def test_an_event_is_decoded_only_when_a_field_decides() -> None:
    """An event that its attributes rule out costs no decode."""
    condition = compile_condition('attributes.type == "other" && event.a == 1')

    def never() -> NoReturn:
        raise AssertionError

    assert condition.matches({"type": "canonical.claim"}, never) is False


def test_an_event_is_decoded_once_for_a_condition() -> None:
    """Several fields share one decode."""
    decoded = []

    def fields() -> Mapping[str, Any]:
        decoded.append(1)
        return {"a": 1, "b": 2, "c": 3}

    assert compile_condition("event.a == 1 && event.b == 2 && has(event.c)").matches({}, fields)
    assert decoded == [1]


@pytest.mark.parametrize("text", ["event.a == 1 || true", "event.a == 1 && false", "has(event.a.b)"])
def test_an_error_of_decoding_is_never_absorbed(text: str) -> None:
    """A registry that is away must pause the work, not decide the condition."""

    def away() -> NoReturn:
        raise TransientError("registry does not answer")

    with pytest.raises(TransientError):
        compile_condition(text).matches({}, away)


def test_a_condition_tells_what_it_reads() -> None:
    """Readers of the rule set know beforehand which events need a decode, and of what."""
    condition = compile_condition(
        'attributes.type == "x" && (has(event.a) || event.b.c == 1 || event["d"].exists(x, x == event.e))'
    )

    assert condition.fields == {"a", "b.c", "d", "e"}
    assert condition.attributes == {"type"}
    assert condition.reads_fields
    assert not compile_condition('attributes.source == "x"').reads_fields


@pytest.mark.parametrize("text", ["", "  ", "true", "(true)"])
def test_an_empty_condition_is_always_true(text: str) -> None:
    """Without a condition every event of the source matches."""
    assert compile_condition(text).always
    assert _matches(text)


def test_no_text_of_a_rule_is_executed() -> None:
    """Text that would be code in Python stays a value or is refused by name."""
    text = 'event["__import__(\'os\')"] == "\'); raise SystemExit #"'

    assert not _matches(text, **{"__import__('os')": "x"})
    assert compiled('event.__class__ == "x"', {}) == ERROR


@pytest.mark.parametrize(
    "text",
    [
        "{true: 'x'} != {1: 'x'}",
        "{1: 'x'} == {1u: 'x'}",
        "!({1: 'x'}.exists(k, k == 1) && {2: 'x'} == {1: 'x'})",
        "{true: 'x', false: 'y'}[true] == 'x'",
        "{1: 'x'}[1u] == 'x' && 1u in {1: 'x'}",
        "true in {true: 'x'}",
        "!(false in {true: 'x'})",
    ],
)
def test_keys_of_a_map_are_told_apart_by_their_types(text: str) -> None:
    """True is not the number 1, while an int and a uint of one value are one key ("Map Operators")."""
    assert _value(text) is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{1: 'x'}[true]", "no such key"),
        ("{true: 'x'}[1]", "no such key"),
        ("{'a': 1, 'a': 2}", "duplicate key in a map"),
        ("{1: 'x', 1u: 'y'}", "duplicate key in a map"),
        ("{1.5: 'x'}", "a map has no keys of type double"),
        ("{null: 'x'}", "a map has no keys of type null"),
        ("{'a': 1}[1.5]", "no such overload: map _[_] double"),
    ],
)
def test_a_map_refuses_keys_that_it_cannot_have(text: str, reason: str) -> None:
    """A key twice, or of a type that is none for keys, is an error of the evaluation."""
    with pytest.raises(EvaluationError) as failed:
        _value(text)

    assert failed.value.message == reason
