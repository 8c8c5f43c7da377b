"""Types of events, by their Avro schemas."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.read import LOGICAL_READERS

from fleet.cel.types import (
    DOUBLE,
    DYN,
    INT,
    LOGICAL,
    NULL,
    STRING,
    Kind,
    Type,
    decimal_of,
    from_avro,
    join,
    list_of,
    map_of,
)
from fleet.cel.values import settled, type_name
from tests.unit.cel.events import EVENT, SCHEMA

CLAIM = Path(__file__).parents[3] / "schemas" / "avro" / "canonical.claim.avsc"


def _fields(schema: Any) -> dict[str, Type]:
    record = from_avro(schema).record
    assert record is not None
    return record.fields


@pytest.mark.parametrize("name", EVENT)
def test_a_field_has_the_type_that_its_decoded_value_has(name: str) -> None:
    """What the decoder gives for each Avro type is what the schema promised."""
    stream = BytesIO()
    schema: Any = parse_schema(SCHEMA)
    schemaless_writer(stream, schema, EVENT)
    stream.seek(0)
    decoded: Any = schemaless_reader(stream, schema, None)
    kind = _fields(SCHEMA)[name].kind

    expected = {Kind.RECORD: "map", Kind.DYN: "string"}.get(kind, str(kind))
    assert type_name(settled(decoded[name])) == expected


def test_the_logical_types_are_those_of_the_decoder() -> None:
    """A decoder that learns another logical type would give values of another type: this tells."""
    assert LOGICAL.keys() == LOGICAL_READERS.keys()


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}, "bytes"),
        ({"type": "long", "logicalType": "timestamp-nanos"}, "int"),
        ({"type": "string", "logicalType": "made-up"}, "string"),
        ({"type": "array", "items": {"type": "map", "values": ["null", "long"]}}, "list<map<string, int>>"),
    ],
)
def test_a_logical_type_that_is_not_decoded_counts_as_it_is_written(schema: Any, expected: str) -> None:
    """The type is that of the decoded value, not that of the intention."""
    assert str(from_avro(schema)) == expected


def test_scale_symbols_and_null_are_kept() -> None:
    """A type knows all that a check or a projection needs of the schema."""
    fields = _fields(SCHEMA)

    assert (fields["amount"].scale, fields["rate"].scale) == (2, 4)
    assert fields["status"].symbols == ("OPEN", "CLOSED")
    assert (fields["note"], fields["name"]) == (Type(Kind.STRING, nullable=True), STRING)
    assert fields["either"] == DYN


def test_a_record_may_hold_itself() -> None:
    """Named types are resolved wherever they are used, also within themselves."""
    customer = _fields(SCHEMA)["customer"]
    assert customer.record is not None
    parent = customer.record.fields["parent"]

    assert (parent.record, parent.nullable) == (customer.record, True)
    assert customer.record.fields["status"] == _fields(SCHEMA)["status"]


def test_a_parsed_schema_gives_the_same_types_and_the_event_its_name() -> None:
    """The registry's plain schema and the codec's parsed one are both at hand somewhere."""
    plain = from_avro(json.loads(CLAIM.read_text()), "canonical.claim")
    parsed = from_avro(parse_schema(json.loads(CLAIM.read_text())), "canonical.claim")
    assert plain.record is not None
    assert parsed.record is not None

    assert {name: str(kind) for name, kind in plain.record.fields.items()} == {
        name: str(kind) for name, kind in parsed.record.fields.items()
    }
    assert str(plain) == "record canonical.claim"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (INT, INT, INT),
        (INT, NULL, Type(Kind.INT, nullable=True)),
        (NULL, STRING, Type(Kind.STRING, nullable=True)),
        (INT, DOUBLE, DYN),
        (decimal_of(2), decimal_of(4), decimal_of(4)),
        (decimal_of(2), decimal_of(None), decimal_of(None)),
        (list_of(INT), list_of(DOUBLE), list_of(DYN)),
        (map_of(STRING, decimal_of(1)), map_of(STRING, decimal_of(3)), map_of(STRING, decimal_of(3))),
        (Type(Kind.STRING, symbols=("a",)), STRING, STRING),
    ],
)
def test_what_may_be_either_has_what_both_have_in_common(one: Type, other: Type, expected: Type) -> None:
    """Both branches of a choice count, in whatever order."""
    assert join(one, other) == expected
    assert join(other, one) == expected


def test_either_of_two_enums_may_have_the_symbols_of_both() -> None:
    """A text is refused only where neither has it."""
    one, other = Type(Kind.STRING, symbols=("a", "b")), Type(Kind.STRING, symbols=("b", "c"))

    assert join(one, other).symbols == ("a", "b", "c")
