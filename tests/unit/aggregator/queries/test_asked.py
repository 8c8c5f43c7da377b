"""What queries ask for and how answers look: keys, instants, cursors, rankings, JSON and CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.aggregator.domain.groups import group_key
from agents.aggregator.queries.answers import Found, accepted, csv_of, plain
from agents.aggregator.queries.asked import Parts, instant_ms, instant_text
from agents.aggregator.queries.cursors import Cursor, parse_cursor
from agents.aggregator.queries.ranking import Ranking
from tables.errors import InvalidInputError
from tests.support.queried import a_world

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
TYPES: dict[str, Any] = {
    "text": "string",
    "number": "long",
    "flag": "boolean",
    "raw": "bytes",
    "amount": DECIMAL,
    "at": MICROS,
}
VALUES = st.fixed_dictionaries(
    {
        "text": st.none() | st.text(st.characters(codec="utf-8")),
        "number": st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
        "flag": st.none() | st.booleans(),
        "raw": st.none() | st.binary(max_size=5),
        "amount": st.none() | st.decimals(-(10**9), 10**9, places=2),
        "at": st.none() | st.datetimes(timezones=st.just(UTC)),
    }
)


def all_types(*names: str) -> Parts:
    """Return a key with a part of each type, or of some."""
    fields = [{"name": name, "type": ["null", schema]} for name, schema in TYPES.items()]
    return Parts(names or TYPES, {"fields": fields})


@given(VALUES)
def test_a_key_is_found_again_by_what_answers_show_of_it(values: dict[str, Any]) -> None:
    """As parameters and as JSON: the parts of any group name that group."""
    parts, group = all_types(), group_key([values[name] for name in TYPES])
    shown = parts.shown(group)
    assert parts.of_values(shown) == group
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in shown.items()
    }
    query = {f"{name}.null": "true" for name in shown if shown[name] is None}
    query |= {name: text for name, text in texts.items() if shown[name] is not None}
    assert parts.of_query(query, ()) == group
    assert parts.of_query({f"key.{name}": text for name, text in query.items()}, TYPES) == group


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "number"),
        ({"number": "1", "number.null": "true"}, "number"),
        ({"number": "1", "key.number": "1"}, "number"),
        ({"number.null": "yes"}, "number.null"),
        ({"number": "1.5"}, "number"),
        ({"number": "9223372036854775808"}, "number"),
        ({"number": ""}, "number"),
    ],
)
def test_a_key_that_is_not_clear_is_refused(query: dict[str, str], field: str) -> None:
    """The error names the part."""
    with pytest.raises(InvalidInputError) as refused:
        all_types("number").of_query(query, ())
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("flag", "1"),
        ("raw", "xy"),
        ("amount", "1e5"),
        ("amount", "NaN"),
        ("amount", "1" * 100),
        ("at", "2026-01-05"),
        ("at", "2026-01-05T00:00:00"),
        ("text", "\ud800"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, text: str) -> None:
    """Also one that would be costly to make a number of."""
    with pytest.raises(InvalidInputError, match=name):
        all_types(name).of_query({name: text}, ())


@pytest.mark.parametrize("values", [{}, {"text": "a", "more": 1}, [], None, {"text": []}, {"text": {}}])
def test_a_key_in_a_body_has_exactly_its_parts(values: Any) -> None:
    """No part is made up, and none passed over."""
    with pytest.raises(InvalidInputError):
        all_types("text").of_values(values)


def test_a_decimal_is_the_same_group_however_it_is_written() -> None:
    """Zeros at its end are no digits of a group."""
    parts = all_types("amount")
    groups = {parts.of_values({"amount": each}) for each in ("10", "10.0", "10.00", 10)}
    assert groups == {group_key([Decimal(10)])}


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("0", 0),
        ("-1", -1),
        ("1767571200000", 1_767_571_200_000),
        ("2026-01-05T00:00:00Z", 1_767_571_200_000),
        ("2026-01-05T01:00:00+01:00", 1_767_571_200_000),
        ("2026-01-05T00:00:00.0001Z", 1_767_571_200_001),
        ("1969-12-31T23:59:59.9995Z", 0),
    ],
)
def test_instants_are_dates_or_milliseconds(text: str, time_ms: int) -> None:
    """The first millisecond that is not before them."""
    assert instant_ms(text, "from") == time_ms


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-01-05", "2026-01-05T00:00:00", "1e3", "\u0662", "2026-13-01T00:00:00Z"]
)
def test_other_texts_are_no_instants(text: str) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidInputError) as refused:
        instant_ms(text, "from")
    assert refused.value.field == "from"


def test_a_time_beyond_the_calendar_has_no_text() -> None:
    """The ends of time are no dates."""
    assert instant_text(-(1 << 63)) is None
    assert instant_text(1_767_571_200_001) == "2026-01-05T00:00:00.001000Z"


@given(st.text(), st.integers(1, 10**9), st.text(st.characters(codec="utf-8")))
def test_a_cursor_is_read_as_it_was_made(question: str, build: int, after: str) -> None:
    """By the question that it is of."""
    question = question.encode("utf-8", "replace").decode()
    cursor = Cursor(question, build, after)
    assert parse_cursor(cursor.text(), question) == cursor


@pytest.mark.parametrize("text", ["", "x", "====", "é", "W10", Cursor("keys", 1, "").text()])
def test_another_cursor_is_refused(text: str) -> None:
    """Whatever it is, also one of another question."""
    with pytest.raises(InvalidInputError, match="cursor"):
        parse_cursor(text, "windows")


def test_results_are_exact_in_json() -> None:
    """Decimals are texts with all their digits, and what JSON has no number for is a text."""
    value = {
        "sum": Decimal("1E+3"),
        "cents": Decimal("-0.10"),
        "at": datetime(2026, 1, 5, tzinfo=UTC),
        "raw": b"\x00\xff",
        "list": [Decimal("1.50"), None, True, 3],
        "odd": [float("nan"), float("inf"), float("-inf"), 1.5],
    }
    assert plain(value) == {
        "sum": "1000",
        "cents": "-0.10",
        "at": "2026-01-05T00:00:00Z",
        "raw": "00ff",
        "list": ["1.50", None, True, 3],
        "odd": ["NaN", "Infinity", "-Infinity", 1.5],
    }


def test_csv_is_read_back_as_it_was() -> None:
    """Commas, quotes and line breaks are in quotes; lists are JSON; fields of a result are columns."""
    whole = {"n": 1, "q": {"p50": 1.5}, "l": ["1"]}
    empty: dict[str, Any] = {"n": None, "q": None, "l": []}
    rows = [
        Found({"provider": 'a,"b"\r\n', "plan": None}, 0, 3_600_000, closed=True, values=whole),
        Found({"provider": "", "plan": 7}, None, None, closed=False, values=empty),
    ]
    text = csv_of(rows, ("provider", "plan"), ("n", "q", "l"), {"watermark": None, "build": 3})
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert found[0] == {
        "provider": 'a,"b"\r\n',
        "plan": "",
        "window_start": "1970-01-01T00:00:00Z",
        "window_end": "1970-01-01T01:00:00Z",
        "final": "true",
        "n": "1",
        "q.p50": "1.5",
        "l": '["1"]',
        "watermark": "",
        "build": "3",
    }
    assert text.splitlines()[-1] == '"",7,,,false,,,[],,3'


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        ([], "application/json"),
        (["*/*"], "application/json"),
        (["text/csv"], "text/csv"),
        (["text/*"], "text/csv"),
        (["text/csv;q=0.5, application/json"], "application/json"),
        (["text/csv", "application/json;q=0.9"], "text/csv"),
        (["TEXT/CSV; charset=utf-8"], "text/csv"),
        (["text/html"], None),
        (["application/json;q=0"], None),
        (["application/json;q=0, */*"], "text/csv"),
        (["application/json;q=x"], None),
    ],
)
def test_a_client_says_what_it_takes(accept: list[str], found: str | None) -> None:
    """By quality, and by what is offered first; a type that is named counts before a pattern."""
    assert accepted(accept, ("application/json", "text/csv")) == found


@pytest.mark.parametrize("by", ["nothing", "seen", "spread", "spread.p99", "claims.x", "seen.values", ""])
def test_only_a_value_with_an_order_ranks(by: str) -> None:
    """The error names what would."""
    with pytest.raises(InvalidInputError, match="by:"):
        Ranking(a_world().compiled.functions, by, descending=True)
