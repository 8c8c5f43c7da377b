"""Projections of Avro records: equal to a whole decode, for every schema and every byte string."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader
from fastavro.utils import generate_one
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import native
from fleet.errors import PermanentError, TransientError
from schemas.catalogue import CATALOGUE, load_avsc
from schemas.codec import Codec
from schemas.projection import ProjectionError, projected
from schemas.projection.program import FieldWriter
from schemas.projection.source import SourceWriter
from tests.support.avro import distinct, encoded, outcome, records, same, types

_compiled: Any = native.load("schemas.projection._run")
WRITERS: list[Callable[[], Any]] = [SourceWriter]
if _compiled is not None:
    WRITERS.append(lambda: FieldWriter(_compiled))
each_writer = pytest.mark.parametrize("writer", WRITERS, ids=["Python", "compiled"][: len(WRITERS)])


def whole(schema: Any, value: bytes) -> dict[str, Any]:
    """Decode all of `value` with fastavro; ValueError where bytes are left."""
    stream = BytesIO(value)
    found = schemaless_reader(stream, schema, None)
    if stream.tell() != len(value):
        raise ValueError
    return found  # type: ignore[return-value]


@each_writer
@settings(max_examples=150, deadline=None)
@given(records(types).filter(distinct), st.data())
def test_it_reads_what_a_whole_decode_reads(writer: Any, schema: Any, data: st.DataObject) -> None:
    """For any schema, value and choice of fields the projection gives those fields as fastavro does."""
    parsed = parse_schema(schema)
    value = encoded(parsed, generate_one(parsed))
    fields = [field["name"] for field in schema["fields"]]
    wanted = data.draw(st.sets(st.sampled_from(fields)) if fields else st.just(set()))
    found = projected(writer(), parsed, wanted)(b"\0\0\0\0\1" + value, 5)
    assert same(found, {name: each for name, each in whole(parsed, value).items() if name in wanted})


CLAIM = parse_schema(load_avsc(CATALOGUE / "avro" / "canonical.claim.avsc"))
SAMPLE = encoded(CLAIM, generate_one(CLAIM))
OVERLONG = re.compile(rb"[\x80-\xff]{10}")


@each_writer
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_or_read_as_a_whole_decode_reads_them(
    writer: Any, data: st.DataObject
) -> None:
    """A claim that is cut, lengthened or changed in a byte ends as in a whole decode, in what is wanted."""
    value = bytearray(SAMPLE)
    at = data.draw(st.integers(0, len(value) - 1))
    kind = data.draw(st.sampled_from(["cut", "grow", "change"]))
    if kind == "cut":
        del value[at:]
    elif kind == "grow":
        value += bytes(data.draw(st.integers(1, 4)))
    else:
        value[at] = data.draw(st.integers(0, 255))
    wanted = {"claim_id", "member_id", "payer"}
    project = projected(writer(), CLAIM, wanted)
    found, full = outcome(lambda: project(bytes(value), 0)), outcome(lambda: whole(CLAIM, bytes(value)))
    if found is None and OVERLONG.search(value):
        return  # A number of more than ten bytes is none; fastavro reads it for as long as it goes on.
    if full is not None:
        assert found is not None
        assert same(found, {name: each for name, each in full.items() if name in wanted})
    elif found is not None:
        # Texts, dates and symbols that nobody wants are stepped over unread.
        assert kind == "change"


@each_writer
@pytest.mark.parametrize(
    "wanted",
    [{"payer.id"}, {"payer.id", "payer"}, {"payer", "payer.id"}, {"payer.id", "payer.name"}, {"payer.none"}],
)
def test_parts_of_records_are_read_alone(writer: Any, wanted: set[str]) -> None:
    """The whole of a record where that is asked for too; a part that the schema has not is passed over."""
    payer = whole(CLAIM, SAMPLE)["payer"]
    parts = {name.removeprefix("payer.") for name in wanted}
    expected = payer if "payer" in wanted else {name: each for name, each in payer.items() if name in parts}
    assert projected(writer(), CLAIM, wanted)(SAMPLE, 0) == {"payer": expected}


@each_writer
def test_parts_of_what_is_no_record_are_the_whole(writer: Any) -> None:
    """A map, or a union whose branch is a text, is read as it is."""
    kinds = [{"type": "map", "values": "int"}, ["null", "string"]]
    schema = parse_schema(
        {
            "type": "record",
            "name": "R",
            "fields": [{"name": f"f{at}", "type": kind} for at, kind in enumerate(kinds)],
        }
    )
    value = {"f0": {"a": 1, "b": 2}, "f1": "text"}
    assert projected(writer(), schema, {"f0.a", "f1.x"})(encoded(schema, value), 0) == value


@each_writer
def test_a_block_with_its_size_in_bytes_is_stepped_over(writer: Any) -> None:
    """A negative count is followed by the block's size, as other writers than fastavro write it."""
    schema = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "l", "type": {"type": "array", "items": "int"}},
            {"name": "x", "type": "int"},
        ],
    }
    value = bytes([3, 4, 2, 4, 0, 14])  # count -2, size 2, items 1 and 2, end; x is 7
    assert whole(parse_schema(schema), value) == {"l": [1, 2], "x": 7}
    assert projected(writer(), schema, {"x"})(value, 0) == {"x": 7}


@each_writer
def test_a_number_of_many_bytes_is_read(writer: Any) -> None:
    """Long numbers and texts, of more than one length byte, are read whole."""
    schema = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "n", "type": "long"},
            {"name": "t", "type": "string"},
            {"name": "d", "type": "double"},
        ],
    }
    value = {"n": -(2**63), "t": "é" * 100, "d": math.pi}
    data = encoded(parse_schema(schema), value)
    assert projected(writer(), schema, {"n", "t"})(data, 0) == {"n": value["n"], "t": value["t"]}
    with pytest.raises(ProjectionError):
        projected(writer(), schema, {"n"})(b"\xff" * 40, 0)


@pytest.mark.parametrize("wanted", [{"x"}, {"next"}, {"next.x"}])
@each_writer
def test_a_schema_that_refers_to_itself_is_not_projected(writer: Any, wanted: set[str]) -> None:
    """A list of itself has no end that could be written out; the codec then decodes such values whole."""
    schema = {
        "type": "record",
        "name": "Chain",
        "fields": [{"name": "x", "type": "int"}, {"name": "next", "type": ["null", "Chain"]}],
    }
    with pytest.raises(ProjectionError):
        projected(writer(), parse_schema(schema), wanted)
    codec = codec_of({7: schema})
    event = {"x": 3, "next": {"x": 4, "next": None}}
    value = b"\0\0\0\0\7" + encoded(parse_schema(schema), event)
    assert codec.project(value, frozenset(wanted)) == event


class _Schemas:
    def __init__(self, schemas: dict[int, Any]) -> None:
        self._schemas = schemas

    async def schema(self, schema_id: int) -> dict[str, Any]:
        return dict(self._schemas[schema_id])

    async def latest(self, subject: str) -> Any:
        raise KeyError(subject)


def codec_of(schemas: dict[int, Any], **options: Any) -> Codec:
    """Return a codec that has looked these schemas up."""
    codec = Codec(_Schemas(schemas), **options)
    asyncio.run(codec.ensure(schemas))
    return codec


def test_the_codec_refuses_what_is_no_value_of_its_schema() -> None:
    """Wire format, unknown ids and damaged bytes are refused with the reasons that `decode` gives."""
    wanted = frozenset({"claim_id"})
    codec = codec_of({7: CLAIM})
    head = b"\0\0\0\0\7"
    assert codec.project(head + SAMPLE, wanted) == {"claim_id": whole(CLAIM, SAMPLE)["claim_id"]}
    for value, reason in [
        (b"", "not_avro_wire_format"),
        (b"\1\0\0\0\7" + SAMPLE, "not_avro_wire_format"),
        (head + SAMPLE[:-1], "not_avro"),
        (head + SAMPLE + b"\0", "not_avro"),
    ]:
        for _ in range(2):
            with pytest.raises(PermanentError) as refused:
                codec.project(value, wanted)
            assert refused.value.reason == reason
    with pytest.raises(TransientError):
        codec.project(b"\0\0\0\0\x08" + SAMPLE, wanted)


def test_values_that_are_read_as_another_schema_are_decoded_whole() -> None:
    """With a reader's schema its defaults and promotions count, so nothing is stepped over."""
    writer = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}
    reader = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "n", "type": "double"}, {"name": "more", "type": "string", "default": "x"}],
    }
    codec = codec_of({7: writer}, readers=[reader])
    value = b"\0\0\0\0\7" + encoded(parse_schema(writer), {"n": 4})
    assert codec.project(value, frozenset({"more"})) == {"n": 4.0, "more": "x"}


@each_writer
@pytest.mark.parametrize("precision", [1, 4, 9, 18, 30])
@pytest.mark.parametrize(
    "number", [0, 1, -1, 9999, -123456, 10**15 - 1, -(10**16), 10**17 + 5, 12345678901234567890]
)
def test_decimals_are_exact(writer: Any, precision: int, number: int) -> None:
    """Of any size and sign, and rounded where the schema allows fewer digits, as fastavro does."""
    kind = {
        "type": "bytes",
        "logicalType": "decimal",
        "precision": precision,
        "scale": 2 if precision > 1 else 0,
    }
    schema = parse_schema({"type": "record", "name": "R", "fields": [{"name": "d", "type": kind}]})
    unscaled = number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True)
    value = bytes([len(unscaled) * 2]) + unscaled
    assert same(projected(writer(), schema, {"d"})(value, 0), whole(schema, value))


@each_writer
@pytest.mark.parametrize(
    ("kind", "logical"),
    [
        ("long", "timestamp-millis"),
        ("long", "timestamp-micros"),
        ("long", "local-timestamp-millis"),
        ("int", "date"),
        ("int", "time-millis"),
        ("long", "time-micros"),
    ],
)
@pytest.mark.parametrize("number", [0, 1, 19_000, 86_399_999, 1_767_225_600_123])
def test_dates_and_times_are_read_as_fastavro_reads_them(
    writer: Any, kind: str, logical: str, number: int
) -> None:
    """Numbers of which a logical type makes more than a number, also where it refuses them."""
    schema = parse_schema(
        {
            "type": "record",
            "name": "R",
            "fields": [{"name": "t", "type": {"type": kind, "logicalType": logical}}],
        }
    )
    value = encoded(
        parse_schema({"type": "record", "name": "R", "fields": [{"name": "t", "type": "long"}]}),
        {"t": number},
    )
    try:
        expected = whole(schema, value)
    except (OverflowError, ValueError) as error:
        with pytest.raises(type(error)):
            projected(writer(), schema, {"t"})(value, 0)
    else:
        assert same(projected(writer(), schema, {"t"})(value, 0), expected)
