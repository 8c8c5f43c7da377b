"""Compiled conditions against cel-python's evaluator: values and errors alike.

Where cel-python itself departs from the language definition, the compiled condition
follows the definition; each such point has its own test in ``test_condition_semantics``
and is left out here by name.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.cel.reference import ERROR, compiled, reference

VALUES: list[Any] = [
    *(-7, 0, 3, 2**63 - 1, -(2**63)),
    *(2.5, -0.5, 0.0),
    *("", "ab", "b", "é"),
    *(b"", b"ab"),
    *(True, False),
    None,
    *([], [3, -7], ["ab", 3], [2.5]),
    *({}, {"ab": 3}),
]
OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%"]

EVENT: dict[str, Any] = {
    "n": 3,
    "zero": 0,
    "x": 2.5,
    "s": "office visit",
    "flag": True,
    "off": False,
    "none": None,
    "raw": b"\x00\xff",
    "codes": ["A1", "B2", "C3"],
    "numbers": [1, 2, 3],
    "payer": {"id": "P1", "address": {"state": "OH"}},
    "lines": [{"code": "99213", "units": 1}, {"code": "99285", "units": 4}],
}

EXPRESSIONS = [
    'attributes.type == "canonical.claim"',
    'attributes["source"].startsWith("/clearing")',
    'attributes.subject == "x"',
    "has(attributes.subject)",
    "has(attributes.id)",
    'attributes.id.endsWith("-1")',
    "attributes.id.size() == 3",
    "event.n == 3",
    'event["n"] == 3',
    "event.missing == 3",
    "event.missing == event.missing",
    'event.payer.id == "P1"',
    'event.payer["address"].state == "OH"',
    'event.payer.missing == "x"',
    "event.n.id == 1",
    "event.none.id == 1",
    "event.s.id == 1",
    "has(event.n)",
    "has(event.none)",
    "has(event.missing)",
    "has(event.payer.address.state)",
    "has(event.payer.address.zip)",
    "has(event.missing.id)",
    "has(event.none.id)",
    "has(event.n.id)",
    "has(event.missing) && event.missing > 3",
    "!has(event.missing) || event.missing > 3",
    "event.flag",
    "!event.flag",
    "!!event.flag",
    "!event.n",
    "!event.missing",
    "-event.n == -3",
    "-event.x < 0.0",
    "-event.s == 1",
    "- 1.5 < event.x",
    "event.n -1 == 2",
    "event.n - -1 == 4",
    "1 - 1 == event.zero",
    "event.n + 1 > 3",
    "event.n + 1.0 > 3.0",
    "event.n * 2 + 1 == 7",
    "2 + event.n * 2 == 8",
    "(2 + event.n) * 2 == 10",
    "event.n / event.zero == 1",
    "event.n % event.zero == 1",
    "event.n / event.zero == 1 || event.flag",
    "event.flag || event.n / event.zero == 1",
    "event.n / event.zero == 1 && event.off",
    "event.off && event.n / event.zero == 1",
    "event.n / event.zero == 1 && event.flag",
    "event.n / event.zero == 1 || event.off",
    "event.missing == 1 || event.missing == 2",
    "event.missing == 1 && event.flag && event.off",
    "event.flag && event.missing == 1 && event.flag",
    "event.off || event.missing == 1 || event.flag",
    "event.flag && (event.off || event.missing == 1)",
    "event.off && event.n",
    "event.n && event.off",
    "event.flag || event.n",
    "event.n || event.flag",
    'event.flag ? event.n == 3 : event.s == "x"',
    "event.off ? event.missing : event.n",
    "event.flag ? event.n : event.missing",
    "event.n ? 1 : 2",
    "event.missing ? 1 : 2",
    "event.flag ? (event.off ? 1 : 2) : 3",
    '"A1" in event.codes',
    '"Z9" in event.codes',
    "2 in event.numbers",
    "7 in event.numbers",
    '"A1" in event.numbers',
    'event.s in ["a", "office visit"]',
    'event.n in [1, "x", 3]',
    'event.n in [1, "x"]',
    "event.n in []",
    "event.n in [1 / event.zero, 3]",
    'event.missing in ["a"]',
    '"id" in event.payer',
    '"zip" in event.payer',
    "1 in event.n",
    'event.codes == ["A1", "B2", "C3"]',
    'event.codes != ["A1"]',
    "event.codes == [1, 2, 3]",
    "event.numbers == [1, 2]",
    "event.payer == event.payer",
    "event.payer == event.codes",
    "event.codes < event.codes",
    'event.codes[0] == "A1"',
    "event.codes[event.n - 1]",
    "event.codes[3]",
    'event.codes["0"]',
    "event.codes[1.0]",
    "event.codes[1u]",
    "event.lines[1].units == 4",
    "event.lines[9].units == 4",
    "[1, 2, 3][1] == 2",
    "[[1], [2]][1][0]",
    "size(event.codes) == 3",
    "event.codes.size() == 3",
    "size(event.s) > 5",
    "size(event.payer)",
    "size(event.raw) == 2",
    "size(event.n)",
    'size("é😀") == 2',
    'event.s.startsWith("off")',
    'event.s.startsWith("visit")',
    'event.s.endsWith("visit")',
    'event.s.contains("ice v")',
    'event.s.contains("")',
    "event.s.startsWith(event.n)",
    'event.n.startsWith("o")',
    'event.missing.startsWith("o")',
    'event.codes.exists(c, c == "B2")',
    'event.codes.exists(c, c == "Z9")',
    "event.codes.all(c, c.size() == 2)",
    'event.codes.all(c, c == "A1")',
    "event.codes.exists(c, c == 1)",
    "event.numbers.exists(i, 6 / (i - 1) > 5)",
    "event.numbers.exists(i, 6 / (i - 1) > 9)",
    "event.numbers.all(i, 6 / (i - 1) < 5)",
    "event.numbers.all(i, 6 / (i - 1) < 9)",
    'event.lines.exists(line, line.code == "99285" && line.units > 3)',
    "event.lines.exists(line, line.missing == 1)",
    "event.lines.all(line, has(line.units))",
    "event.lines.all(line, has(line.modifier))",
    "event.numbers.all(i, event.numbers.exists(j, i + j == 4))",
    "event.numbers.exists(i, event.numbers.exists(i, i == 3))",
    "event.numbers.exists(i, i == 3) && event.numbers.all(i, i < 4)",
    "[].all(i, i > 1)",
    "[].exists(i, i > 1)",
    "event.n.exists(i, true)",
    "event.none.all(i, true)",
    "event.missing.exists(i, true)",
    'event.payer.exists(key, key == "id")',
    'event.payer.all(key, key == "id")',
    'event.raw == b"\\x00\\xff"',
    'event.s < "z"',
    'event.s == "office\\x20visit"',
    'event.s == r"office visit"',
    "event.s == 'office\\040visit'",
    "event.n == 0x3",
    "event.x == 25e-1",
    "event.x == 2.5",
    "event.n > 2.5",
    "event.n == 3u",
    "2u + 3u == 5u",
    "2u - 3u == 5u",
    "7u / 2u == 3u",
    "7u % 4u == 3u",
    "1u / 0u == 1u",
    "1u < 2u",
    "0x10u == 16u",
    "-7 / 2 == -3",
    "-7 % 2 == -1",
    "7 % -2 == 1",
    "9223372036854775807 + 1 > 0",
    "9223372036854775807 * 2 > 0",
    "-9223372036854775808 / -1 > 0",
    "-(-9223372036854775807 - 1) > 0",
    "1.0 / 0.0 > 1.0",
    "5.5 % 2.0 > 1.0",
    "1 < 2 == true",
    '"a" + "b" == "ab"',
    "[1] + [2] == [1, 2]",
    'b"a" + b"b" == b"ab"',
    "null == null",
    "true",
    "event.n > 2 // a remark",
    "event . n\n  >\n2",
]


def _left_out(operator: str, left: Any, right: Any) -> bool:
    """Whether cel-python departs from the language definition here."""
    if left is None or right is None:  # null compares with anything; the reference fails
        return True
    if operator == "in":  # the reference looks for substrings, and takes true for 1 and bytes for strings
        return isinstance(right, str | bytes) or isinstance(left, bool | bytes)
    kinds = {type(left), type(right)}
    if kinds == {bool}:  # the reference calculates with booleans
        return operator in {"+", "-", "*", "/", "%"}
    if len(kinds) > 1 and (bool in kinds or kinds in ({int, float}, {str, bytes})):  # the reference converts
        return True
    if operator == "%" and kinds & {str, bytes}:  # the reference formats text
        return True
    return operator == "/" and type(right) is float and right == 0  # the reference: +infinity for anything


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator_equals_the_reference_for_every_pair_of_values(operator: str) -> None:
    """Each operator gives the value, or the error, that cel-python gives."""
    text = f"event.a {operator} event.b"
    events = [{"a": a, "b": b} for a, b in itertools.product(VALUES, VALUES) if not _left_out(operator, a, b)]

    different = [event for event in events if compiled(text, event) != reference(text, event)]

    assert len(events) > 150
    assert different == []


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("literal", ["-7", "3", "2.5", '"ab"', 'b"ab"', "true"])
def test_literals_take_the_same_path_as_fields(operator: str, literal: str) -> None:
    """The short cuts for a constant on either side give what two fields give."""
    constant = {"-7": -7, "3": 3, "2.5": 2.5, '"ab"': "ab", 'b"ab"': b"ab", "true": True}[literal]
    text = f"event.a {operator} event.b"

    for value in VALUES:
        after, before = {"a": value, "b": constant}, {"a": constant, "b": value}
        assert compiled(f"event.a {operator} {literal}", after) == compiled(text, after)
        assert compiled(f"{literal} {operator} event.b", before) == compiled(text, before)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expression_equals_the_reference(text: str) -> None:
    """Each expression gives the value, or the error, that cel-python gives."""
    assert compiled(text, EVENT) == reference(text, EVENT)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, st.sampled_from(["&&", "||"]), inner)
    choices = st.tuples(inner, inner, inner)
    return st.one_of(
        pairs.map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        inner.map(lambda text: f"!{text}"),
        choices.map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        st.tuples(st.sampled_from(["exists", "all"]), inner).map(
            lambda parts: f"event.numbers.{parts[0]}(i, {parts[1]} || 6 / (i - 1) > 4)"
        ),
    )


CONDITIONS = st.recursive(
    st.sampled_from(
        ["event.flag", "event.off", "(event.missing == 1)", "(event.n > 2)", "(1 / event.zero == 1)"]
    ),
    _grown,
    max_leaves=8,
)


@given(CONDITIONS)
@settings(max_examples=150, deadline=None)
def test_any_mix_of_logic_and_errors_equals_the_reference(text: str) -> None:
    """Errors are absorbed by &&, ||, exists and all exactly where cel-python absorbs them."""
    assert compiled(text, EVENT) == reference(text, EVENT)


def test_the_corpus_holds_errors_as_well_as_values() -> None:
    """A corpus of nothing but errors, or of none, would prove little."""
    failed = sum(reference(text, EVENT) == ERROR for text in EXPRESSIONS)

    assert 30 < failed < len(EXPRESSIONS) - 80
