"""Definitions of aggregations: what is refused without a schema, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tables.aggregations.calculation import EVENT_TIME
from tables.aggregations.definition import State, parse_definition
from tables.aggregations.errors import AggregationError
from tables.aggregations.window import WindowKind
from tests.unit.aggregations.claims import a_document

COUNT = {"as": "n", "function": "count"}
SUM_OF = {"as": "t", "function": "sum"}


def test_a_short_definition_has_defaults() -> None:
    """Event time is the CloudEvents attribute, there are no windows, and it takes no events yet."""
    definition = parse_definition(json.dumps(a_document()).encode())
    assert definition.event_time == EVENT_TIME
    assert definition.windows.kind is WindowKind.NONE
    assert definition.state is State.DRAFT
    assert definition.compiled_filter.always
    assert definition.fields == {"payer.id", "total_charge"}


def test_all_expressions_by_where_they_are() -> None:
    """So that each can be compiled, checked and pointed at."""
    functions = [COUNT, {**SUM_OF, "of": "event.total_charge", "where": "event.total_charge > 0"}]
    found = parse_definition(a_document(functions=functions, filter="event.x")).expressions()
    assert {field: each.text for field, each in found.items()} == {
        "filter": "event.x",
        "event_time": EVENT_TIME,
        "group_by.payer": "event.payer.id",
        "functions[1].of": "event.total_charge",
        "functions[1].where": "event.total_charge > 0",
    }


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"functions": []}, "functions", "functions: expected array of length >= 1: write e.g. {as:"),
    ({"functions": [COUNT, COUNT]}, "functions[1].as", "functions[1].as: there is another field 'n'"),
    ({"functions": [{**COUNT, "as": "payer"}]}, "functions[0].as", "there is another field 'payer'"),
    ({"functions": [{**COUNT, "as": "build"}]}, "functions[0].as", "there is another field 'build'"),
    ({"functions": [{"function": "count"}]}, "functions[0].as", "functions[0].as: is required: write e.g."),
    ({"functions": [{**COUNT, "whre": ""}]}, "functions[0].whre", "is not known: did you mean 'where'?"),
    ({"functions": [{**COUNT, "function": "med"}]}, "functions[0].function", "invalid enum value 'med'"),
    ({"functions": [SUM_OF]}, "functions[0].of", "functions[0].of: sum needs an argument"),
    ({"functions": [{**COUNT, "quantiles": [0.5]}]}, "functions[0].quantiles", "are for quantiles alone"),
    (
        {"functions": [{"as": "q", "function": "quantiles", "of": "event.a"}]},
        "functions[0].quantiles",
        "functions[0].quantiles: are missing: write function: quantiles with e.g. quantiles: [0.5, 0.99]",
    ),
    (
        {"functions": [{"as": "q", "function": "quantiles", "of": "event.a", "quantiles": [1.5]}]},
        "functions[0].quantiles[0]",
        "functions[0].quantiles[0]: expected float <= 1.0",
    ),
    (
        {"functions": [{"as": "q", "function": "quantiles", "of": "event.a", "quantiles": [0.5, 0.5]}]},
        "functions[0].quantiles",
        "functions[0].quantiles: one is named twice: name each once",
    ),
    ({"functions": [{**COUNT, "limit": 0}]}, "functions[0].limit", "expected int >= 1"),
    ({"group_by": {}}, "group_by", "group_by: expected object of length >= 1"),
    ({"group_by": {"9": "event.a"}}, "group_by", "group_by: a name in it: expected str of the allowed form"),
    ({"group_by": {"final": "event.a"}}, "group_by.final", "every result has a field of that name"),
    ({"sources": ["a.b", "a.b"]}, "sources", "sources: an event type is named twice"),
    ({"sources": ["a.*"]}, "sources[0]", "sources[0]: expected str of the allowed form: list event types"),
    ({"output": {"topic": "fleet.x"}}, "output.topic", "output.topic: 'fleet.x' belongs to the platform"),
    ({"output": {"topic": "canonical.claim"}}, "output.topic", "output.topic: 'canonical.claim' is a source"),
    ({"output": {"mode": "finals"}}, "output.mode", "output.mode: without windows nothing is ever final"),
    ({"output": {"topics": "x"}}, "output.topics", "output.topics: is not known: did you mean 'topic'?"),
    ({"windows": {"kind": "tumbling"}}, "windows.size_ms", "windows.size_ms: is required for tumbling"),
    (
        {"windows": {"kind": "session", "gap_ms": 1, "size_ms": 1}},
        "windows.size_ms",
        "windows.size_ms: is not for session windows: they have gap_ms",
    ),
    (
        {"windows": {"kind": "hopping", "size_ms": 5, "hop_ms": 6}},
        "windows.hop_ms",
        "windows.hop_ms: is longer than size_ms, events would be left out: hop by less",
    ),
    (
        {"windows": {"kind": "hopping", "size_ms": 86_400_001, "hop_ms": 60_000}},
        "windows.hop_ms",
        "windows.hop_ms: puts an event in more than 1440 windows: hop by more",
    ),
    (
        {"windows": {"kind": "calendar", "unit": "day", "time_zone": "Europe/Atlantis"}},
        "windows.time_zone",
        "windows.time_zone: no zone 'Europe/Atlantis': use a name such as UTC",
    ),
    ({"windows": {"kind": "calendar"}}, "windows.unit", "windows.unit: is required for calendar windows"),
    ({"windows": {"size": 1}}, "windows.size", "windows.size: is not known: did you mean 'size_ms'?"),
    ({"grace_ms": -1}, "grace_ms", "grace_ms: expected int >= 0: give milliseconds, 0 or more"),
    ({"limits": {"max_keys": 0}}, "limits.max_keys", "limits.max_keys: expected int >= 1"),
    ({"owner": None}, "owner", "owner: expected str, got null: name the owning team"),
    ({"sorces": 1}, "sorces", "sorces: is not known: did you mean 'sources'?"),
]


@pytest.mark.parametrize(("changes", "field", "message"), REFUSED)
def test_what_is_refused_names_field_and_remedy(changes: dict[str, Any], field: str, message: str) -> None:
    """Each refusal is one line that names the aggregation, the field, and what would be right."""
    with pytest.raises(AggregationError) as refused:
        parse_definition(a_document(**changes))
    assert refused.value.field == field
    assert str(refused.value).startswith("aggregation 'claims-by-payer': ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "field", "line", "column"),
    [
        ({"filter": "true &&\n event.a >"}, "filter", 2, 11),
        ({"event_time": "event.("}, "event_time", 1, 7),
        ({"group_by": {"a": "event.a", "b": "1 +"}}, "group_by.b", 1, 4),
        ({"functions": [COUNT, {**SUM_OF, "of": ")"}]}, "functions[1].of", 1, 1),
        ({"functions": [{**COUNT, "where": "1"}]}, "functions[0].where", 1, 1),
    ],
)
def test_expressions_are_refused_with_their_position(
    changes: dict[str, Any], field: str, line: int, column: int
) -> None:
    """Field, line and column, in whatever part of the definition."""
    with pytest.raises(AggregationError) as refused:
        parse_definition(a_document(**changes))
    assert (refused.value.field, refused.value.line, refused.value.column) == (field, line, column)


@pytest.mark.parametrize("data", [b"{", b"[]", b"3", b"[" * 100_000])
def test_what_is_no_definition_at_all(data: bytes) -> None:
    """It is refused in one line, never with an unexpected error."""
    with pytest.raises(AggregationError, match="aggregation"):
        parse_definition(data)


@pytest.mark.parametrize(
    "windows",
    [
        {"kind": "none"},
        {"kind": "tumbling", "size_ms": 60_000, "offset_ms": -1},
        {"kind": "hopping", "size_ms": 86_400_000, "hop_ms": 60_000},
        {"kind": "session", "gap_ms": 1},
        {"kind": "calendar", "unit": "week", "time_zone": "America/New_York", "week_start": "sunday"},
    ],
)
def test_windows_that_are_right(windows: dict[str, Any]) -> None:
    """One of each kind, with all that it can have."""
    assert parse_definition(a_document(windows=windows)).windows.kind.value == windows["kind"]
