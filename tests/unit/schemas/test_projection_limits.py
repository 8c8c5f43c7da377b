"""What projections do with bytes and schemas that nobody should have written."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader
from fastavro.utils import generate_one
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import native
from schemas.projection import ProjectionError, projected
from schemas.projection.program import FieldWriter
from schemas.projection.source import SourceWriter
from tests.support.avro import distinct, encoded, outcome, records, same, types

_compiled: Any = native.load("schemas.projection._run")
WRITERS: list[Callable[[], Any]] = [SourceWriter]
if _compiled is not None:
    WRITERS.append(lambda: FieldWriter(_compiled))
each_writer = pytest.mark.parametrize("writer", WRITERS, ids=["Python", "compiled"][: len(WRITERS)])
needs_compiled = pytest.mark.skipif(_compiled is None, reason="not compiled here")

LEAST = b"\xff" * 9 + b"\x01"
TOO_LARGE = b"\xfe" * 9 + b"\x7f"


def record(*kinds: Any) -> dict[str, Any]:
    """Return a record of these types."""
    fields = [{"name": f"f{place}", "type": kind} for place, kind in enumerate(kinds)]
    return {"type": "record", "name": "R", "fields": fields}


def nested(depth: int) -> Any:
    """Return arrays of arrays, so many, of numbers."""
    return "int" if not depth else {"type": "array", "items": nested(depth - 1)}


def doubled(times: int) -> Any:
    """Return a record that holds the one before it twice, and so many times twice."""
    kind: Any = {"type": "record", "name": "N0", "fields": [{"name": "x", "type": "int"}]}
    for time in range(times):
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": f"N{time}"}]
        kind = {"type": "record", "name": f"N{time + 1}", "fields": fields}
    return kind


@st.composite
def damaged(draw: st.DrawFn, value: bytes) -> bytes:
    """Return `value` changed in up to four places: a byte, a few more, a few less, numbers of any size."""
    result = bytearray(value)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(result)))
        inserted = draw(st.one_of(st.binary(max_size=3), st.sampled_from([LEAST, TOO_LARGE, b"\xff" * 11])))
        result[at : at + draw(st.integers(0, 3))] = inserted
    return bytes(result)


@needs_compiled
@settings(max_examples=500, deadline=None)
@given(records(types).filter(distinct), st.data())
def test_damaged_bytes_end_the_same_compiled_and_in_python(schema: Any, data: st.DataObject) -> None:
    """For any schema and any bytes: the same values, or a refusal by both."""
    parsed = parse_schema(schema)
    # An array that is wanted is read by fastavro, which counts to any number where items take no bytes.
    fields = [field["name"] for field in schema["fields"] if "'array'" not in str(field["type"])]
    wanted = data.draw(st.sets(st.sampled_from(fields)) if fields else st.just(set()))
    value = data.draw(damaged(encoded(parsed, generate_one(parsed))))
    python, compiled = (projected(writer(), parsed, wanted) for writer in WRITERS)
    assert same(outcome(lambda: compiled(value, 0)), outcome(lambda: python(value, 0)))


@each_writer
@pytest.mark.parametrize("start", [-1, -(2**40), 5, 2**40])
def test_nothing_is_read_from_outside_the_value(writer: Any, start: int) -> None:
    """A place before or after the value is refused, whatever memory holds there."""
    project = projected(writer(), record("int"), {"f0"})
    with pytest.raises((ProjectionError, IndexError)):
        project(b"\x02\x02\x02", start)


@each_writer
@pytest.mark.parametrize(
    "kind",
    [
        {"type": "fixed", "name": "F", "size": -(2**30)},
        {"type": "fixed", "name": "F", "size": 2**31},
        {"type": "fixed", "name": "F", "size": "5"},
        [],
        [{"type": "fixed", "name": f"F{place}", "size": 1} for place in range(65)],
        nested(10),
        doubled(14),
    ],
    ids=["negative", "large", "text", "no branch", "many branches", "deep", "multiplied"],
)
def test_a_schema_beyond_the_limits_is_not_projected(writer: Any, kind: Any) -> None:
    """Fields of it are not stepped over: the codec then decodes such values whole, as fastavro does."""
    with pytest.raises(ProjectionError):
        projected(writer(), parse_schema(record(kind, "int")), {"f1"})


@each_writer
def test_arrays_as_deep_as_allowed_are_stepped_over(writer: Any) -> None:
    """The deepest nesting is still within what Python can compile."""
    schema = parse_schema(record(nested(8), "int"))
    value: Any = 1
    for _ in range(8):
        value = [value, value]
    data = encoded(schema, {"f0": value, "f1": 7})
    assert projected(writer(), schema, {"f1"})(data, 0) == {"f1": 7}


@each_writer
@pytest.mark.parametrize("options", [{}, {"precision": 2**40}], ids=["none", "large"])
def test_a_decimal_of_no_usable_precision_is_left_to_fastavro(writer: Any, options: Any) -> None:
    """It ends as in a whole decode: read, or refused."""
    kind = {"type": "bytes", "logicalType": "decimal", "scale": 2, **options}
    project = projected(writer(), parse_schema(record(kind)), {"f0"})
    found = outcome(lambda: project(b"\x02\x07", 0))
    assert found is None or str(found["f0"]) == "0.07"


@each_writer
def test_of_a_number_too_large_the_lowest_64_bits_count(writer: Any) -> None:
    """As they do in fastavro, whatever language the projection runs in."""
    schema = parse_schema(record("long"))
    whole = schemaless_reader(BytesIO(TOO_LARGE), schema, None)
    assert projected(writer(), schema, {"f0"})(TOO_LARGE, 0) == whole


@each_writer
def test_a_count_without_an_opposite_is_refused(writer: Any) -> None:
    """The least number there is, as a count of a block, is not taken for one of no items."""
    schema = parse_schema(record({"type": "array", "items": "int"}, "int"))
    value = LEAST + b"\x02" + b"\x02" * 40
    with pytest.raises(ProjectionError):
        projected(writer(), schema, {"f1"})(value, 0)
