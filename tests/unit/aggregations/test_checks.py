"""Aggregations against the schemas of their sources, and the schema of their results."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from fastavro.schema import parse_schema

from schemas.catalogue import load_catalogue
from tables.aggregations.checks import check_definition
from tables.aggregations.definition import parse_definition
from tables.aggregations.errors import AggregationError
from tables.aggregations.schemas import derive_output_schema
from tests.support.stack import ROOT
from tests.unit.aggregations.claims import CLAIM, SCHEMAS, a_document

DEMONSTRATION = ROOT / "agents" / "aggregator" / "aggregations.yaml"
PAYMENT: dict[str, Any] = {
    "type": "record",
    "name": "Payment",
    "fields": [
        {"name": "payer", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}},
        {"name": "paid", "type": "double"},
    ],
}
REFUND: dict[str, Any] = {
    "type": "record",
    "name": "Refund",
    "fields": [
        {"name": "payer", "type": ["null", "string"]},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "paid", "type": "long"},
        {"name": "code", "type": "string"},
    ],
}
BOTH = {"payment": PAYMENT, "refund": REFUND}


def of_both(**fields: Any) -> dict[str, Any]:
    """Return a definition over payments and refunds."""
    return a_document(sources=["payment", "refund"], group_by={"payer": "event.payer"}, **fields)


def a_function(name: str, of: str, **more: Any) -> dict[str, Any]:
    """Return a definition's functions, one of them."""
    return {"functions": [{"as": "x", "function": name, "of": of, **more}]}


def test_arguments_get_their_types() -> None:
    """By the schema of the source; a count of events has none."""
    functions = [
        {"as": "n", "function": "count"},
        {"as": "total", "function": "sum", "of": "event.total_charge"},
        {"as": "lines", "function": "max", "of": "size(event.service_lines)"},
        {"as": "newest", "function": "last", "of": "event.event_time"},
        {"as": "members", "function": "distinct", "of": "event.member_id"},
    ]
    checked = check_definition(parse_definition(a_document(functions=functions)), SCHEMAS)
    types = {each.name: each.type for each in checked.definition.functions}
    assert types == {
        "n": "",
        "total": "decimal(2)",
        "lines": "int",
        "newest": "timestamp",
        "members": "string",
    }


def test_sources_must_agree_on_types() -> None:
    """Of decimals the finest scale is taken; a double in one and an integer in the other is refused."""
    checked = check_definition(parse_definition(of_both(**a_function("sum", "event.amount"))), BOTH)
    assert checked.definition.functions[0].type == "decimal(4)"
    with pytest.raises(AggregationError) as refused:
        check_definition(parse_definition(of_both(**a_function("sum", "event.paid"))), BOTH)
    assert str(refused.value) == (
        "aggregation 'claims-by-payer': functions[0].of line 1 column 1: "
        "is of another type in each source: double, int; convert it"
    )


def test_a_field_of_one_source_alone_has_to_be_guarded() -> None:
    """As in a rule whose source is a pattern."""
    counted = a_function("count", "event.payer")
    bare, guarded = 'event.code == "x"', 'has(event.code) && event.code == "x"'
    with pytest.raises(AggregationError, match=r"write has\(event.code\) && ... before it"):
        check_definition(parse_definition(of_both(filter=bare, **counted)), BOTH)
    check_definition(parse_definition(of_both(filter=guarded, **counted)), BOTH)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (
            {"filter": "event.total_chrage > 1"},
            "filter",
            "no field 'total_chrage' in canonical.claim; did you",
        ),
        ({"event_time": "event.claim_id"}, "event_time", "must be a timestamp, got string; write timestamp("),
        (
            {"group_by": {"payer": "event.payer"}},
            "group_by.payer",
            "record Payer cannot be a group; convert it, e.g. with string(x)",
        ),
        (
            {"group_by": {"payer": "double(event.total_charge)"}},
            "group_by.payer",
            "double cannot be a group; convert it",
        ),
        (a_function("sum", "event.claim_id"), "functions[0].of", "sum of event.claim_id: got string"),
        (a_function("sum", "event.nothing"), "functions[0].of", "no field 'nothing' in canonical.claim"),
        (
            a_function("count", "event.claim_id", where="event.total_charge"),
            "functions[0].where",
            "must be true or false, got decimal",
        ),
        (
            {"sources": ["raw.unknown"]},
            "sources",
            "raw.unknown has no schema: register one as raw.unknown-value",
        ),
    ],
)
def test_what_is_wrong_for_the_source(changes: dict[str, Any], field: str, message: str) -> None:
    """It is refused by field, with what would be right."""
    with pytest.raises(AggregationError) as refused:
        check_definition(parse_definition(a_document(**changes)), SCHEMAS)
    assert refused.value.field == field
    assert message in str(refused.value)


def test_the_schema_of_results() -> None:
    """Group, window, a field for each function, and what is known of the result; all of it parses."""
    functions: list[dict[str, Any]] = [
        {"as": "n", "function": "count"},
        {"as": "total", "function": "sum", "of": "event.total_charge"},
        {"as": "mean", "function": "avg", "of": "event.total_charge"},
        {"as": "charges", "function": "quantiles", "of": "event.total_charge", "quantiles": [0.5, 0.999]},
        {"as": "codes", "function": "top_k", "of": "event.place_of_service"},
        {"as": "places", "function": "top_k", "of": "event.frequency_code"},
        {"as": "some", "function": "collect", "of": "event.claim_id"},
    ]
    definition = parse_definition(a_document(functions=functions, name="9-claims.by-payer"))
    schema = derive_output_schema(definition, SCHEMAS)
    parse_schema(schema)
    types = {field["name"]: field["type"] for field in schema["fields"]}
    money = {"type": "bytes", "logicalType": "decimal", "precision": 38}
    assert (schema["namespace"], schema["name"]) == ("fleet.aggregations", "_9_claims_by_payer")
    assert list(types) == [
        "payer",
        "window_start",
        "window_end",
        *(each["as"] for each in functions),
        "final",
        "watermark",
        "build",
    ]
    assert types["payer"] == ["null", "string"]
    assert types["n"] == ["null", "long"]
    assert types["total"] == ["null", {**money, "scale": 2}]
    assert types["mean"] == ["null", {**money, "scale": 6}]
    assert [field["name"] for field in types["charges"][1]["fields"]] == ["p50", "p99_9"]


def test_what_shows_a_protected_value_is_protected() -> None:
    """A group, the last and the least value are; a number of different values is not."""
    functions = [
        {"as": "last_member", "function": "last", "of": "event.member_id"},
        {"as": "members", "function": "distinct", "of": "event.member_id"},
        {"as": "charge", "function": "max", "of": "event.total_charge"},
    ]
    groups = {"member": "event.member_id", "payer": "event.payer.id"}
    definition = parse_definition(a_document(functions=functions, group_by=groups))
    schema = derive_output_schema(definition, SCHEMAS)
    assert {field["name"] for field in schema["fields"] if field.get("pii") == "phi"} == {
        "member",
        "last_member",
    }


def test_schemas_are_left_as_they_are() -> None:
    """They belong to others: nothing is added to them."""
    before = repr(CLAIM)
    derive_output_schema(parse_definition(a_document()), SCHEMAS)
    assert repr(CLAIM) == before


def test_the_demonstrations_aggregations_pass() -> None:
    """What comes with the aggregator is right for the schema that comes with it, one result a topic."""
    found = [parse_definition({**each, "version": 1}) for each in yaml.safe_load(DEMONSTRATION.read_text())]
    for each in found:
        parse_schema(derive_output_schema(check_definition(each, SCHEMAS).definition, SCHEMAS))
    topics = [each.output.topic for each in found if each.output.topic]
    assert topics == [f"aggregates.{each.name}" for each in found if each.output.topic]
    assert set(topics) <= {spec.name for spec in load_catalogue().specs()}


def test_the_readmes_aggregation_passes() -> None:
    """What people copy from the first page is accepted."""
    (example,) = re.findall(r"/v1/aggregations -d '(.*?)'", (ROOT / "README.md").read_text(), re.DOTALL)
    found = check_definition(parse_definition({**json.loads(example), "version": 1}), SCHEMAS)
    assert found.definition.functions[1].type == "decimal(2)"
