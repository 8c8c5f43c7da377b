"""Projections of rules: the schema that is derived for them, and the values that they give."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from fleet.cel.errors import EvaluationError
from tables.routes.errors import RuleError
from tables.routes.projections import compile_key, compile_projection
from tables.routes.rule import Rule, parse_rule
from tables.routes.schemas import derive_schema, output_schema
from tests.unit.cel.events import EVENT, SCHEMA, events

CLAIM = json.loads((Path(__file__).parents[3] / "schemas" / "avro" / "canonical.claim.avsc").read_text())


def _rule(projection: dict[str, Any] | None = None, **more: Any) -> Rule:
    document = {
        "name": "high-value.2",
        "version": 1,
        "owner": "team",
        "source": "shop.order",
        "targets": ["t"],
    }
    return parse_rule({**document, "projection": projection, **more})


def _compute(**expressions: str) -> Rule:
    return _rule({"compute": expressions})


def _written(rule: Rule, event: dict[str, Any], schema: Any = SCHEMA) -> Any:
    """Return what a consumer reads of a copy of `event`."""
    derived: Any = parse_schema(derive_schema(rule, schema))
    projector = compile_projection(rule)
    assert projector is not None
    stream = BytesIO()
    schemaless_writer(stream, derived, projector.project({"id": "7"}, event))
    stream.seek(0)
    return schemaless_reader(stream, derived, None)


def test_kept_and_renamed_fields_have_the_types_of_the_source_and_may_be_null() -> None:
    """Each field is nullable with null as its default: what is kept may change later."""
    derived = derive_schema(_rule({"keep": ["count", "note"], "rename": {"total": "amount"}}), SCHEMA)

    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
    assert derived == {
        "type": "record",
        "name": "high_value_2",
        "namespace": "fleet.routes",
        "fields": [
            {"name": "count", "type": ["null", "long"], "default": None},
            {"name": "note", "type": ["null", "string"], "default": None},
            {"name": "total", "type": ["null", decimal], "default": None},
        ],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event.count + 1", "long"),
        ("uint(event.count)", "long"),
        ("event.score * 2.0", "double"),
        ("event.count > 3", "boolean"),
        ("event.name + attributes.id", "string"),
        ("event.status", "string"),
        ("event.id", "string"),
        ("event.digest", "bytes"),
        ("event.day", {"type": "long", "logicalType": "timestamp-micros"}),
        ("event.codes.map(c, c.size())", {"type": "array", "items": "long"}),
        ("event.lines.map(l, l.price)", {"type": "array", "items": "double"}),
        ("[event.note]", {"type": "array", "items": ["null", "string"]}),
        ("{'a': event.count}", {"type": "map", "values": "long"}),
    ],
)
def test_a_computed_field_has_the_type_of_its_expression(text: str, expected: Any) -> None:
    """Nobody writes an Avro schema for a projection, and its text is its documentation."""
    (field,) = derive_schema(_compute(x=text), SCHEMA)["fields"]

    assert field == {"name": "x", "type": ["null", expected], "default": None, "doc": text}


@pytest.mark.parametrize(
    ("text", "scale"),
    [("event.amount - 1000", 2), ("event.amount * event.rate", 6), ("round(event.amount / 3, 4)", 4)],
)
def test_a_computed_decimal_keeps_its_digits(text: str, scale: int) -> None:
    """The scale is inferred, so that no digit is lost and none is made up."""
    (field,) = derive_schema(_compute(x=text), SCHEMA)["fields"]

    assert field["type"][1] == {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": scale}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "event.amount / 3",
            "decimal cannot be a field: its digits behind the point are not known; write round(x, 2)",
        ),
        (
            "event.either",
            "dyn cannot be a field: its type is not known; convert it, e.g. with string(x) or int(x)",
        ),
        (
            "event.at - event.day",
            (
                "duration cannot be a field: "
                "Avro has no type for it; write string(x), or a part of it, e.g. x.getHours()"
            ),
        ),
        ("null", "null cannot be a field: it is always null; leave it out"),
        (
            "{1: 2}",
            "map<int, int> cannot be a field: Avro has no type for it; the keys of a map must be strings",
        ),
        ("event.cuont", "no field 'cuont' in shop.order; did you mean 'count'?"),
    ],
)
def test_a_field_that_cannot_be_written_is_refused(text: str, reason: str) -> None:
    """The refusal names the computed field, and what to write instead."""
    with pytest.raises(RuleError) as refused:
        derive_schema(_compute(over=text), SCHEMA)

    assert refused.value.message == f"projection.compute.over line 1 column 1: {reason}"
    assert refused.value.field == "projection.compute.over"


@pytest.mark.parametrize(
    ("projection", "field", "message"),
    [
        ({"keep": ["cuont"]}, "projection.keep", "projection.keep: no field 'cuont' in shop.order"),
        (
            {"rename": {"x": "cuont"}},
            "projection.rename.x",
            "projection.rename.x: no field 'cuont' in shop.order",
        ),
    ],
)
def test_a_kept_field_must_exist(projection: dict[str, Any], field: str, message: str) -> None:
    """A typo would be a column of nulls."""
    with pytest.raises(RuleError) as refused:
        derive_schema(_rule(projection), SCHEMA)

    assert (refused.value.field, refused.value.message) == (field, message)
    assert refused.value.hint == "did you mean 'count'?"


def test_named_types_are_written_out_where_they_are_used_first() -> None:
    """A type that the source defines in a field that is left out is defined again."""
    rule = _rule({"keep": ["lines"], "rename": {"buyer": "customer"}, "compute": {"again": "event.customer"}})
    derived: Any = derive_schema(rule, SCHEMA)
    buyer, again = derived["fields"][1:]

    assert [field["type"] for field in buyer["type"][1]["fields"]][:2] == [
        "string",
        {"type": "enum", "name": "shop.orders.Status", "symbols": ["OPEN", "CLOSED"]},
    ]
    assert again["type"] == ["null", "shop.orders.Customer"]
    assert _written(rule, EVENT)["again"] == EVENT["customer"]


def test_what_is_protected_stays_protected() -> None:
    """A copy says of its fields what the source says, also where they are computed from protected ones."""
    compute = {
        "born": "event.patient.birth_date.getFullYear()",
        "lines": "event.service_lines.size()",
        "payer": "event.payer.name",
        "codes": "event.diagnosis_codes.map(each, each.code)",
    }
    rule = _rule({"keep": ["member_id", "claim_id"], "compute": compute}, source="canonical.claim")
    classes = {field["name"]: field.get("pii") for field in derive_schema(rule, CLAIM)["fields"]}

    assert classes["member_id"] == classes["born"] == classes["codes"] == "phi"
    assert classes["claim_id"] == classes["payer"] is None


def test_a_record_that_holds_itself_may_be_read() -> None:
    """Looking for protected fields comes to an end."""
    (field,) = derive_schema(_compute(x="event.customer.parent.parent.name"), SCHEMA)["fields"]

    assert "pii" not in field


EVERY_FIELD = {
    "keep": list(EVENT),
    "compute": {
        "c_id": "event.id",
        "c_day": "event.day",
        "c_local": "event.local",
        "c_at": "event.at + event.clock",
        "c_list": "[event.day, event.local]",
        "c_ids": "{'id': event.id}",
        "c_customer": "event.customer",
        "c_lines": "event.lines.filter(l, l.price > 0.0)",
        "c_half": "round(event.amount / 2, 1)",
        "c_product": "event.amount * event.rate",
        "c_key": "attributes.id",
        "c_count": "uint(7)",
        "c_parent": "event.customer.parent",
    },
}


@given(events)
def test_what_is_projected_is_of_the_derived_schema(event: dict[str, Any]) -> None:
    """Kept fields come back as they were; computed ones with the value of their expression."""
    found = _written(_rule(EVERY_FIELD), event)

    assert {name: found[name] for name in event if name != "ratio"} == {
        name: value for name, value in event.items() if name != "ratio"
    }
    assert found["c_customer"] == event["customer"]
    assert found["c_parent"] == event["customer"]["parent"]
    assert found["c_lines"] == [line for line in event["lines"] if line["price"] > 0]
    assert found["c_product"] == event["amount"] * event["rate"]
    assert (found["c_id"], found["c_ids"]) == (str(event["id"]), {"id": str(event["id"])})
    assert [each.isoformat() for each in (found["c_day"], *found["c_list"])] == [
        "2026-01-31T00:00:00+00:00",
        "2026-01-31T00:00:00+00:00",
        "2026-01-31T12:00:00+00:00",
    ]


@given(
    st.sets(st.sampled_from(sorted(EVENT)), min_size=1), st.sets(st.sampled_from(sorted(EVENT)), min_size=1)
)
def test_a_projection_with_other_fields_reads_what_was_written_before(
    before: set[str], after: set[str]
) -> None:
    """Fields may be kept or left out later: readers of the new schema find null where they are new."""
    writer: Any = parse_schema(derive_schema(_rule({"keep": sorted(before)}), SCHEMA))
    reader: Any = parse_schema(derive_schema(_rule({"keep": sorted(after)}), SCHEMA))
    stream = BytesIO()
    schemaless_writer(stream, writer, {name: EVENT[name] for name in before})
    stream.seek(0)

    found: Any = schemaless_reader(stream, writer, reader)
    assert found == {name: EVENT[name] if name in before else None for name in after}


def test_a_projector_tells_what_it_reads_and_names_the_field_that_failed() -> None:
    """The router decodes those fields alone; a dead letter says which expression it was."""
    compute = {"a": "event.customer.name", "b": "1 / event.count", "c": "attributes.id"}
    projector = compile_projection(_rule({"keep": ["note"], "rename": {"x": "amount"}, "compute": compute}))
    assert projector is not None

    assert projector.fields == {"note", "amount", "customer.name", "count"}
    assert projector.attributes == {"id"}
    with pytest.raises(EvaluationError, match=r"^b: division by zero$"):
        projector.project({"id": "7"}, {"customer": {"name": "x"}, "count": 0})
    assert projector.project({"id": "7"}, {"customer": {"name": "x"}, "count": 1})["note"] is None


def test_a_rule_without_a_projection_and_key_changes_nothing() -> None:
    """Then copies are the record as it is."""
    assert compile_projection(_rule()) is None
    assert compile_key(_rule()) is None
    assert output_schema(_rule(), {"shop.order": SCHEMA}) is None


def test_a_key_is_the_text_of_its_expression() -> None:
    """Also of a UUID; anything else fails, and is a dead letter."""
    by_name = compile_key(_rule(key="event.customer.name + '/' + attributes.id"))
    by_id = compile_key(_rule(key="event.id"))
    either = compile_key(_rule(key="event.either"))
    assert by_name is not None
    assert by_id is not None
    assert either is not None

    assert by_name.of({"id": "7"}, EVENT) == b"c/7"
    assert by_name.fields == {"customer.name"}
    assert by_name.attributes == {"id"}
    assert by_id.of({}, EVENT) == str(EVENT["id"]).encode()
    with pytest.raises(EvaluationError, match="the key must be a string, got int"):
        either.of({}, {"either": 3})
