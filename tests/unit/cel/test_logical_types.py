"""Avro's logical types as fastavro decodes them, and what each is in an expression."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import fastavro
import pytest

from fleet.cel import EvaluationError, compile_expression

_TYPES: Final[dict[str, Any]] = {
    "millis": {"type": "long", "logicalType": "timestamp-millis"},
    "micros": {"type": "long", "logicalType": "timestamp-micros"},
    "local": {"type": "long", "logicalType": "local-timestamp-millis"},
    "day": {"type": "int", "logicalType": "date"},
    "opens": {"type": "int", "logicalType": "time-millis"},
    "closes": {"type": "long", "logicalType": "time-micros"},
    "amount": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
    "id": {"type": "string", "logicalType": "uuid"},
    "kind": {"type": "enum", "name": "Kind", "symbols": ["OPEN", "CLOSED"]},
    "code": {"type": "fixed", "name": "Code", "size": 2},
    "days": {"type": "array", "items": {"type": "int", "logicalType": "date"}},
    "by_id": {"type": "map", "values": {"type": "string", "logicalType": "uuid"}},
    "until": ["null", {"type": "int", "logicalType": "date"}],
}
_SCHEMA: Final = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Visit",
        "fields": [{"name": name, "type": written} for name, written in _TYPES.items()],
    }
)
_ID: Final = UUID("12345678-1234-5678-1234-56781234567A")
_VALUES: Final[dict[str, Any]] = {
    "millis": datetime(2026, 1, 31, 12, 30, 45, 123000, tzinfo=UTC),
    "micros": datetime(2026, 1, 31, 12, 30, 45, 123456, tzinfo=UTC),
    "local": datetime(2026, 1, 31, 9).replace(tzinfo=None),  # noqa: DTZ001 - what the type is about
    "day": date(2026, 1, 31),
    "opens": time(8, 30),
    "closes": time(17, 45, 0, 250000),
    "amount": Decimal("249.95"),
    "id": _ID,
    "kind": "OPEN",
    "code": b"A1",
    "days": [date(2026, 1, 30), date(2026, 1, 31)],
    "by_id": {"one": _ID},
    "until": None,
}


@pytest.fixture(scope="module")
def event() -> dict[str, Any]:
    """Return an event of all logical types, decoded from Avro as the platform decodes it."""
    encoded = io.BytesIO()
    fastavro.schemaless_writer(encoded, _SCHEMA, _VALUES)
    encoded.seek(0)
    decoded: Any = fastavro.schemaless_reader(encoded, _SCHEMA, None)
    return dict(decoded)


@pytest.mark.parametrize(
    "text",
    [
        'event.millis == timestamp("2026-01-31T12:30:45.123Z")',
        "event.millis < event.micros",
        'event.micros - event.millis == duration("456us")',
        'event.local == timestamp("2026-01-31T09:00:00Z")',
        "event.local < event.millis",
        'event.local.getHours() == 9 && event.local.getHours("+02:00") == 11',
        'event.day == timestamp("2026-01-31T00:00:00Z")',
        'timestamp("2026-01-31T00:00:00Z") == event.day',
        "event.day <= event.millis && event.millis >= event.day",
        'event.day + duration("24h") > event.millis',
        'event.millis - event.day == duration("12h30m45.123s")',
        'event.day.getDayOfWeek() == 6 && event.day.getDate("America/New_York") == 30',
        "event.day in event.days && event.days[1] == event.day",
        'event.days == [timestamp("2026-01-30T00:00:00Z"), timestamp("2026-01-31T00:00:00Z")]',
        "event.days.exists_one(d, d < event.day)",
        'event.day in [timestamp("2026-01-31T00:00:00Z")]',
        'event.opens == duration("8h30m") && event.opens < event.closes',
        'event.closes - event.opens == duration("9h15m0.25s")',
        "event.opens.getMinutes() == 510 && event.closes.getMilliseconds() == 250",
        'event.day + event.opens == timestamp("2026-01-31T08:30:00Z")',
        'event.amount == 249.95 && event.amount > decimal("249.9")',
        'event.id == "12345678-1234-5678-1234-56781234567a"',
        'event.id in ["x", "12345678-1234-5678-1234-56781234567a"]',
        'event.id.startsWith("12345678") && event.id.size() == 36 && event.id.matches("7a$")',
        'event.id + "!" == "12345678-1234-5678-1234-56781234567a!"',
        "event.by_id.one == event.id && event.by_id[event.kind == 'OPEN' ? 'one' : 'two'] == event.id",
        'event.kind == "OPEN" && event.kind in ["OPEN", "CLOSED"]',
        'event.code == b"A1" && size(event.code) == 2',
        "event.until == null && has(event.until)",
        "event.day != null && event.id != null",
        'string(event.day) == "2026-01-31T00:00:00Z" && int(event.day) == 1769817600',
        'string(event.opens) == "30600s" && string(event.id).size() == 36',
        "timestamp(event.day) == event.day && duration(event.opens) == event.opens",
        "{'k': event.day} == {'k': timestamp('2026-01-31T00:00:00Z')}",
    ],
)
def test_every_logical_type_takes_part_as_its_counterpart(text: str, event: dict[str, Any]) -> None:
    """Dates and times, ids and amounts compare and calculate with what is written in a condition."""
    assert compile_expression(text).evaluate({}, dict, event) is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('event.day == "2026-01-31"', "no such overload: timestamp == string"),
        ("event.day < event.opens", "no such overload: timestamp < duration"),
        ("event.id == 7", "no such overload: string == int"),
        ("event.day + event.day", "no such overload: timestamp + timestamp"),
        ("-event.opens", "no such overload: -(duration)"),
        ("event.opens.getHours('UTC')", "no such overload: getHours(duration, string)"),
        ("event.opens.getDate()", "no such overload: getDate(duration)"),
        ("event.kind.getDate()", "no such overload: getDate(string)"),
    ],
)
def test_logical_types_are_named_by_their_counterparts(text: str, reason: str, event: dict[str, Any]) -> None:
    """An error speaks the language of the condition, and not of the decoder."""
    with pytest.raises(EvaluationError) as failed:
        compile_expression(text).evaluate({}, dict, event)

    assert failed.value.message == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event.day", datetime(2026, 1, 31, tzinfo=UTC)),
        ("event.local", datetime(2026, 1, 31, 9, tzinfo=UTC)),
        ("event.opens", timedelta(hours=8, minutes=30)),
        ("event.id", str(_ID)),
        ("event.amount", Decimal("249.95")),
        ("event.days", [datetime(2026, 1, 30, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)]),
        ("event.by_id", {"one": str(_ID)}),
        ("event.days.filter(d, d == event.day)", [datetime(2026, 1, 31, tzinfo=UTC)]),
        ("[event.id, {'id': event.id}]", [str(_ID), {"id": str(_ID)}]),
        ("has(event.day) ? event.day : event.millis", datetime(2026, 1, 31, tzinfo=UTC)),
        ("dyn(event.opens)", timedelta(hours=8, minutes=30)),
    ],
)
def test_a_result_is_a_value_of_the_language(text: str, expected: object, event: dict[str, Any]) -> None:
    """What an expression hands on is never of a type that only the decoder knows, however deep."""
    found = compile_expression(text).evaluate({}, dict, event)

    assert found == expected
    assert type(found) is type(expected)
