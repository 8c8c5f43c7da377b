"""Functions of strings that the reference does not have, by the tests of their own specification."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cel import EvaluationError, compile_expression


def _value(expression: str, /, **event: Any) -> Any:
    return compile_expression(expression).evaluate({}, lambda: event)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event.s.charAt(0)", "t"),
        ("event.s.charAt(4)", "ö"),
        ("event.s.charAt(11)", ""),
        ('event.s.indexOf("o")', 7),
        ('event.s.indexOf("zz")', -1),
        ('event.s.indexOf("t", 1)', 5),
        ('event.s.indexOf("")', 0),
        ('event.s.indexOf("", 3)', 3),
        ('event.s.indexOf("e", 11)', -1),
        ('event.s.lastIndexOf("t")', 5),
        ('event.s.lastIndexOf("t", 4)', 0),
        ('event.s.lastIndexOf("t", 5)', 5),
        ('event.s.lastIndexOf("")', 11),
        ('event.s.lastIndexOf("zz", 5)', -1),
        ("event.s.substring(4)", "ötwo 😀x"),
        ("event.s.substring(0, 3)", "tac"),
        ("event.s.substring(3, 3)", ""),
        ("event.s.substring(11)", ""),
        ('event.s.replace("t", "T")', "Tac öTwo 😀x"),
        ('event.s.replace("t", "T", 1)', "Tac ötwo 😀x"),
        ('event.s.replace("t", "T", 0)', "tac ötwo 😀x"),
        ('event.s.replace("t", "", -1)', "ac öwo 😀x"),
        ('"ab".replace("", "_")', "_a_b_"),
        ('"ab".replace("", "_", 2)', "_a_b"),
        ('"a,b,,c".split(",")', ["a", "b", "", "c"]),
        ('"a,b,,c".split(",", 2)', ["a", "b,,c"]),
        ('"a,b,,c".split(",", 1)', ["a,b,,c"]),
        ('"a,b,,c".split(",", 0)', []),
        ('"a,b,,c".split(",", -1)', ["a", "b", "", "c"]),
        ('"abé".split("")', ["a", "b", "é"]),
        ('"abé".split("", 2)', ["a", "bé"]),
        ('"".split(",")', [""]),
        ('["a", "b"].join()', "ab"),
        ('["a", "b"].join("-")', "a-b"),
        ('[].join("-")', ""),
        ('"ÄbC-İ".lowerAscii()', "Äbc-İ"),
        ('"äbC-ß".upperAscii()', "äBC-ß"),
        ('" \\t\\u00a0\\u3000x y\\u2028\\n".trim()', "x y"),
        ('"\\u200bx\\ufeff".trim()', "\u200bx\ufeff"),
        ('"\\u001cx".trim()', "\x1cx"),
        ('event.s.split(" ").map(w, w.size())', [3, 4, 2]),
    ],
)
def test_string_functions_count_characters(text: str, expected: object) -> None:
    """Positions and limits are those of the strings extension; characters outside ASCII count once."""
    assert _value(text, s="tac ötwo 😀x") == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("event.s.charAt(4)", "index out of range"),
        ("event.s.charAt(-1)", "index out of range"),
        ("event.s.substring(4)", "index out of range"),
        ("event.s.substring(2, 1)", "index out of range"),
        ("event.s.substring(0, 4)", "index out of range"),
        ('event.s.indexOf("a", -1)', "index out of range"),
        ('event.s.indexOf("a", 4)', "index out of range"),
        ('event.s.lastIndexOf("a", -1)', "index out of range"),
        ("event.s.substring(0, event.none)", "no such overload: substring(int, null)"),
        ('event.s.charAt("0")', "no such overload: charAt(string)"),
        ("event.n.trim()", "no such overload: trim(int)"),
        ('event.s.replace("a", event.n)', "no such overload: replace(string, string, int)"),
        ('event.s.split(",", 1.5)', "no such overload: split(double)"),
        ("[event.s, event.n].join()", "no such overload: join(string, string, int)"),
        ("event.s.join()", "no such overload: join(string)"),
        ("event.s.matches(event.n)", "no such overload: matches(string, int)"),
    ],
)
def test_string_functions_refuse_what_they_cannot_use(text: str, reason: str) -> None:
    """A position outside of the text, or a value of another type, is an error and never a guess."""
    with pytest.raises(EvaluationError) as failed:
        _value(text, s="abc", n=3, none=None)

    assert failed.value.message == reason


@given(st.text(max_size=20), st.text(max_size=2), st.integers(-1, 4))
def test_split_parts_join_to_the_text(text: str, separator: str, limit: int) -> None:
    """Split by anything, at most so many times, and joined again, a text is the same."""
    parts = _value("event.t.split(event.s, event.n)", t=text, s=separator, n=limit)

    assert limit == 0 or separator.join(parts) == text
    assert limit < 0 or len(parts) <= limit


@given(
    st.text("ab", max_size=12), st.sampled_from(["a+b", "^a", "b$", "(ab|ba)+", "a{2,3}", "^(a|b){3}$", ""])
)
def test_patterns_find_what_backtracking_finds(text: str, pattern: str) -> None:
    """Where both can, RE2 decides as Python's own expressions do, written or from a field."""
    expected = re.search(pattern, text) is not None

    assert _value("event.t.matches(event.p)", t=text, p=pattern) is expected
    assert _value(f'event.t.matches("{pattern}")', t=text) is expected


def test_a_pattern_takes_linear_time() -> None:
    """A pattern that would keep a backtracking engine busy for ever is decided at once."""
    assert _value('event.t.matches("^(a+)+$")', t="a" * 50_000 + "b") is False


def test_a_pattern_of_an_event_that_is_none_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """What an event brings is not refused when saved, and the event's text is told nowhere."""
    with pytest.raises(EvaluationError, match="not a pattern of RE2: missing") as failed:
        _value("event.t.matches(event.p)", t="x", p="secret(")

    assert "secret" not in failed.value.message
    assert capfd.readouterr() == ("", "")
