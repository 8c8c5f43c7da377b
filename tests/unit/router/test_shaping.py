"""Copies that differ from their event, from the event's bytes to the copy's."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents.router.shaping import Shape, shape_of
from schemas.codec import Codec
from tables.routes.checks import check_rule
from tables.routes.rule import Rule, parse_rule
from tests.support.lane_fakes import SourceRecord
from tests.unit.cel.events import EVENT, SCHEMA, events
from tests.unit.schemas.local_registry import LocalRegistry

SOURCE_ID, OUTPUT_ID = 1, 2


def _shape(**more: Any) -> tuple[Shape, Codec]:
    """Return the shape of a rule that was saved with the schema that its check gives."""
    document = {"name": "r", "version": 1, "owner": "team", "source": "shop.order", "targets": ["t"]}
    rule: Rule = parse_rule({**document, **more, "output_schema": OUTPUT_ID})
    codec = Codec(LocalRegistry())
    codec._learn(SOURCE_ID, SCHEMA)
    output = check_rule(rule, {"shop.order": SCHEMA})
    if output is not None:
        codec._learn(OUTPUT_ID, output)
    shape = shape_of(rule, codec)
    assert shape is not None
    return shape, codec


@given(events, st.sets(st.sampled_from(sorted(EVENT)), min_size=1))
def test_kept_fields_arrive_as_they_were(event: dict[str, Any], kept: set[str]) -> None:
    """Whatever the type of a field, its copy is decoded to the same value."""
    shape, codec = _shape(projection={"keep": sorted(kept), "compute": {"whole": "event.customer"}})
    value = codec.encode_as(SOURCE_ID, event)

    key, copy = shape.make(SourceRecord(key=b"k", value=value), {})

    source = codec.decode(value)
    expected = {name: source[name] for name in kept} | {"whole": source["customer"]}
    assert (key, codec.decode(copy or b"")) == (b"k", expected)


def test_a_key_is_computed_beside_the_value_as_it_is() -> None:
    """A rule with a key alone leaves the bytes of the value untouched."""
    shape, codec = _shape(key="event.customer.name + '/' + attributes.id")
    value = codec.encode_as(SOURCE_ID, EVENT)

    assert shape.make(SourceRecord(key=b"k", value=value), {"id": "7"}) == (b"c/7", value)
