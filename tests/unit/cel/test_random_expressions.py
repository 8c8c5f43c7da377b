"""Random expressions over a typed grammar, and random events, against the reference evaluator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.cel.reference import compiled, reference

# What of each type is written without a part: fields that an event may have, and constants.
LEAVES: Final[dict[str, list[str]]] = {
    "bool": [
        "event.flag",
        "event.off",
        "true",
        "has(event.n)",
        "has(event.record.id)",
        "has(attributes.subject)",
    ],
    "int": ["event.n", "event.m", "event.record.units", "0", "1", "-3", "9223372036854775807"],
    "double": ["event.x", "event.y", "0.5", "-2.0"],
    "string": ["event.s", "event.record.id", "attributes.type", '"ab"', '""', '"é😀"', "attributes.subject"],
    "text": ["event.s", "event.record.id"],  # no constant: one that is no number is refused when compiled
    "timestamp": ["event.t", 'timestamp("2026-03-08T07:00:00Z")', 'timestamp("1999-12-31T23:59:59.25Z")'],
    "duration": ['duration("90m")', 'duration("-1.5s")', 'duration("0s")', "duration(event.d)"],
    "ints": ["event.numbers", "[]", "[3, 1, 2]"],
    "strings": ["event.codes", '["ab", "é"]'],
}
# How an expression of each type is made of others.
RULES: Final[dict[str, list[tuple[str, tuple[str, ...]]]]] = {
    "bool": [
        *((f"({{}} {operator} {{}})", ("bool", "bool")) for operator in ("&&", "||", "==", "!=")),
        *(
            (f"({{}} {operator} {{}})", (kind, kind))
            for operator in ("==", "<", ">=")
            for kind in ("int", "double", "string")
        ),
        *(
            (f"({{}} {operator} {{}})", (kind, kind))
            for operator in ("!=", "<=")
            for kind in ("timestamp", "duration")
        ),
        *(("({} == {})", (kind, kind)) for kind in ("ints", "strings")),
        ("!{}", ("bool",)),
        ("({} ? {} : {})", ("bool", "bool", "bool")),
        ("({} in {})", ("int", "ints")),
        ("({} in {})", ("string", "strings")),
        ("({} in [{}, {}])", ("int", "int", "int")),
        *(
            (f"{{}}.{method}({{}})", ("string", "string"))
            for method in ("startsWith", "endsWith", "contains")
        ),
        ('{}.matches("^[a-z]+$")', ("string",)),
        *((f"{{}}.{macro}({{x}}, {{}})", ("ints", "x:bool")) for macro in ("exists", "all", "exists_one")),
        *((f"{{}}.{macro}({{x}}, {{x}}.size() > {{}})", ("strings", "x:int")) for macro in ("exists", "all")),
    ],
    "int": [
        *((f"({{}} {operator} {{}})", ("int", "int")) for operator in ("+", "-", "*", "/", "%")),
        ("-{}", ("int",)),
        ("({} ? {} : {})", ("bool", "int", "int")),
        *(("size({})", (kind,)) for kind in ("string", "ints", "strings")),
        ("{}[{}]", ("ints", "int")),
        ("int({})", ("double",)),
        ("int({})", ("text",)),
        *((f"{{}}.{getter}()", ("timestamp",)) for getter in ("getDayOfWeek", "getMonth", "getHours")),
        ('{}.getHours("America/New_York")', ("timestamp",)),
        ("{}.getDayOfYear({})", ("timestamp", "text")),
        ("{}.getMinutes()", ("duration",)),
        ("{{'ab': 1, 'é': 2}}[{}]", ("string",)),
    ],
    "double": [
        *((f"({{}} {operator} {{}})", ("double", "double")) for operator in ("+", "-", "*")),
        ("double({})", ("int",)),
        ("({} ? {} : {})", ("bool", "double", "double")),
    ],
    "string": [
        ("({} + {})", ("string", "string")),
        ("({} ? {} : {})", ("bool", "string", "string")),
        ("string({})", ("int",)),
        ("string(bytes({}))", ("string",)),
        ("{}[{}]", ("strings", "int")),
    ],
    "text": [("({} + {})", ("text", "string"))],
    "timestamp": [("({} + {})", ("timestamp", "duration")), ("({} - {})", ("timestamp", "duration"))],
    "duration": [("({} + {})", ("duration", "duration")), ("({} - {})", ("timestamp", "timestamp"))],
    "ints": [
        ("({} + {})", ("ints", "ints")),
        ("[{}, {}]", ("int", "int")),
        ("{}.map({x}, {})", ("ints", "x:int")),
        ("{}.filter({x}, {})", ("ints", "x:bool")),
        ("{}.map({x}, size({x}) + {})", ("strings", "x:int")),
    ],
    "strings": [("[{}]", ("string",)), ("{}.filter({x}, {})", ("strings", "bool"))],
}


def _moment(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


_FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "flag": st.booleans(),
    "off": st.just(value=False),
    "n": st.one_of(st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1)),
    "m": st.integers(-3, 3),
    "x": st.floats(-100, 100),
    "y": st.sampled_from([0.0, -0.5, 1e300]),
    "s": st.text("abé😀 1", max_size=4),
    "d": st.sampled_from(["1h", "-3m", "250ms"]),
    "t": st.integers(0, 2**42).map(_moment),
    "numbers": st.lists(st.integers(-3, 3), max_size=4),
    "codes": st.lists(st.sampled_from(["ab", "é", ""]), max_size=3),
    "record": st.fixed_dictionaries({}, optional={"id": st.just("ab"), "units": st.integers(0, 3)}),
}
_OTHER: Final[dict[str, Any]] = {
    "n": "3",
    "x": 2,
    "s": 7,
    "d": "x",
    "t": "2026",
    "numbers": 7,
    "record": "ab",
}


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Make an event with at most one field missing, one null and one of another type."""
    event = {name: draw(values) for name, values in _FIELDS.items()}
    event |= dict.fromkeys(
        draw(st.sets(st.sampled_from(["n", "x", "s", "t", "numbers", "record"]), max_size=1))
    )
    event |= {name: _OTHER[name] for name in draw(st.sets(st.sampled_from(sorted(_OTHER)), max_size=1))}
    for name in draw(st.sets(st.sampled_from(sorted(_FIELDS)), max_size=1)):
        del event[name]
    return event


@st.composite
def expressions(draw: st.DrawFn, kind: str, depth: int, scope: tuple[str, ...] = ()) -> str:
    """Write an expression of type `kind`, with the integers named in `scope` in reach."""
    leaves = [*LEAVES[kind], *(scope if kind == "int" else ())]
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(leaves))
    template, parts = draw(st.sampled_from(RULES[kind]))
    name = f"x{len(scope)}"
    looped = "ints" if parts[0] == "ints" else "strings"
    if "{x}" in template and len(scope) == 3:  # no macro is nested deeper
        return draw(st.sampled_from(leaves))
    written = []
    for part in parts:
        inner = (*scope, name) if part.startswith("x:") and looped == "ints" else scope
        inner = (*inner, "1") if "{x}" in template and inner is scope else inner
        written.append(draw(expressions(part.removeprefix("x:"), depth - 1, inner)))
    return template.format(*written, x=name)


@example("int(event.x - double(9223372036854775807))", {"x": 0.0})
@example("uint(event.x)", {"x": -0.5})
@given(st.sampled_from(sorted(RULES)).flatmap(lambda kind: expressions(kind, 3)), events())
@settings(max_examples=300, deadline=None)
def test_any_expression_gives_with_any_event_what_the_reference_gives(
    text: str, event: dict[str, Any]
) -> None:
    """Values, errors, and errors absorbed by logic and macros are those of cel-python."""
    assert compiled(text, event) == reference(text, event)
