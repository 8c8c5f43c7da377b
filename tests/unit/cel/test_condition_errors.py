"""What a person reads when a condition is refused: line, column, reason."""

from __future__ import annotations

import pytest

from fleet.cel.condition import compile_condition
from fleet.cel.errors import ExpressionError

SUPPORTED = (
    "all, bool, bytes, charAt, contains, decimal, double, duration, dyn, endsWith, exists, exists_one, "
    "filter, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, "
    "getMinutes, getMonth, getSeconds, has, indexOf, int, join, lastIndexOf, lowerAscii, map, matches, "
    "replace, round, size, split, startsWith, string, substring, timestamp, trim, uint, upperAscii"
)

SYNTAX = [
    ("event.charge > (1 + )", 1, 21, "unexpected ')'; expected a value"),
    ("event.charge > )", 1, 16, "unexpected ')'; expected a value"),
    ("event.charge > 1000)", 1, 20, "unexpected ')'; expected the end"),
    ("event.charge >", 1, 15, "unexpected end of the condition; expected a value"),
    ("event.a\n  && (event.b", 2, 14, "unexpected end of the condition; expected ')'"),
    ("event.flag ? 1", 1, 15, "unexpected end of the condition; expected ':'"),
    ("event. > 1", 1, 8, "unexpected '>'; expected a name"),
    ("event.a = 1", 1, 9, "unexpected '='; to compare, write =="),
    ("event.a & event.b", 1, 9, "unexpected '&'; for and, write &&"),
    ("event.a and event.b", 1, 9, "unexpected 'and'; write &&"),
    ('event.a == "x', 1, 12, "unexpected '\"'; the string is not closed"),
    ("event.a == #", 1, 12, "unexpected '#'"),
    ("event.a == 1 event", 1, 14, "unexpected 'event'; expected an operator or the end"),
]

UNSUPPORTED = [
    ('event.name.startWith("a")', 1, 12, "method 'startWith' is not supported; did you mean 'startsWith'?"),
    ("event.codes.sum() > 1", 1, 13, f"method 'sum' is not supported; supported: {SUPPORTED}"),
    (
        'timestmp("2026-01-01") < event.t',
        1,
        1,
        "function 'timestmp' is not supported; did you mean 'timestamp'?",
    ),
    ("type(event.a) == event.b", 1, 1, f"function 'type' is not supported; supported: {SUPPORTED}"),
    ("event.day.timestamp() == event.b", 1, 11, "timestamp is a function; write timestamp(...)"),
    ('startsWith(event.a, "x")', 1, 1, "startsWith is a method; write x.startsWith(...)"),
    ("exists(event.a, x, x == 1)", 1, 1, "exists is not a function; write x.exists(...)"),
    ("event.a.has() == true", 1, 9, "has is not a method; write has(event.claim_id)"),
    ("event.a == Claim{id: 1}", 1, 12, "message literals are not supported"),
    (".event.a == 1", 1, 1, "a leading dot is not supported"),
    ("claim.a == 1", 1, 1, "unknown name 'claim'; known: event, attributes"),
    ("event.codes.exists(c, d == 1)", 1, 23, "unknown name 'd'; known: event, attributes"),
    ("size(event) > 1", 1, 6, "'event' alone is not supported; name a field of it, e.g. event.claim_id"),
    (
        "attributes == 1",
        1,
        1,
        "'attributes' alone is not supported; name a field of it, e.g. attributes.type",
    ),
    (
        "event[attributes.id] == 1",
        1,
        7,
        'write the name in event[...] as a string, e.g. event["id"]',
    ),
]

MISTAKES = [
    ('event.a.matches("a(")', 1, 17, "not a pattern of RE2: missing )"),
    ('event.a.matches("(?=a)")', 1, 17, "not a pattern of RE2: invalid perl operator"),
    (
        'event.t < timestamp("2026-01-01")',
        1,
        21,
        "not a timestamp; write RFC 3339, e.g. 2026-01-31T00:00:00Z",
    ),
    (
        'event.d < duration("2 days")',
        1,
        20,
        "not a duration; write it with h, m, s, ms, us or ns, e.g. 1h30m",
    ),
    ('event.a == decimal("1,50")', 1, 20, "not a decimal; write digits and a point, e.g. 1.50"),
    ("event.a == decimal(1.50)", 1, 20, "no such overload: decimal(double)"),
    ('event.t.getHours("Mars") == 1', 1, 18, "no such time zone; write e.g. America/New_York or -05:00"),
    ('event.a.substring() == "x"', 1, 9, "substring() takes 1 to 2 argument(s), got 0"),
    ("event.codes.map(c, c)", 1, 1, "the condition must be true or false; compare the value, e.g. with =="),
    ("{'a': 1}", 1, 1, "the condition must be true or false; compare the value, e.g. with =="),
    ("has(event)", 1, 5, "has() takes a field, e.g. has(event.claim_id)"),
    ("has(event.a == 1)", 1, 5, "has() takes a field, e.g. has(event.claim_id)"),
    ("event.name.startsWith() || true", 1, 12, "startsWith() takes 1 argument(s), got 0"),
    ("event.codes.exists(true)", 1, 13, "exists() takes 2 argument(s), got 1"),
    ("event.codes.all(c.d, true)", 1, 17, "the first argument of all() names the element, e.g. x"),
    ("event.codes.all(event, true)", 1, 17, "the first argument of all() names the element, e.g. x"),
    (
        "9223372036854775808 == event.a",
        1,
        1,
        "number out of range: 9223372036854775808 does not fit into 64 bits",
    ),
    ("event.a == -1u", 1, 12, "number out of range: -1u does not fit into 64 bits"),
    ("event.a == 1e999", 1, 12, "number out of range: 1e999 does not fit into a double"),
    (r'event.a == "\q"', 1, 12, r"unknown escape \q; a backslash is written \\"),
    (r'event.a == "\ud800"', 1, 12, r"escape \ud800 is not a Unicode character"),
    (r'event.a == b"\u0041"', 1, 12, r"escape \u0041 is not allowed in bytes; write the bytes as \xHH"),
    ("event.a + 1", 1, 1, "the condition must be true or false; compare the value, e.g. with =="),
    ("attributes.id", 1, 1, "the condition must be true or false; compare the value, e.g. with =="),
]


@pytest.mark.parametrize(("text", "line", "column", "reason"), SYNTAX + UNSUPPORTED + MISTAKES)
def test_a_refused_condition_names_line_column_and_reason(
    text: str, line: int, column: int, reason: str
) -> None:
    """The error points at the first place that is wrong and says what would be right."""
    with pytest.raises(ExpressionError) as refused:
        compile_condition(text)

    assert str(refused.value) == f"line {line} column {column}: {reason}"
    assert (refused.value.line, refused.value.column) == (line, column)


NESTED_MACROS = "event.a.all(p, event.b.all(q, event.c.all(r, event.d.all(s, s == p))))"
NESTED_LOGIC = "(event.a && (event.b || " * 9 + "event.c" + "))" * 9
NESTED_SIGNS = "!" * 40 + "event.a"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("event.a == 1" + " " * 4000, "too long: at most 4000 characters are allowed"),
        (NESTED_SIGNS, "nested deeper than 32 levels; split the rule"),
        (NESTED_LOGIC, "&&, || and macros nested too deeply; split the rule"),
        (NESTED_MACROS, "at most 3 macros may be nested"),
    ],
)
def test_a_condition_beyond_the_size_limits_is_refused(text: str, reason: str) -> None:
    """A condition runs on every event, so its size and its loops are bounded when it is saved."""
    with pytest.raises(ExpressionError, match=r"line 1 column \d+: ") as refused:
        compile_condition(text)

    assert reason in str(refused.value)


def test_long_flat_conditions_are_within_the_limits() -> None:
    """A chain of conditions, and parentheses that change nothing, are not depth."""
    chain = " || ".join(f"event.a == {number}" for number in range(200))

    assert compile_condition(chain).matches({}, lambda: {"a": 199})
    assert compile_condition("(" * 200 + "event.a" + ")" * 200).matches({}, lambda: {"a": True})
