"""Aggregations as a kind of definition: what a person writes of one, and which a filter takes."""

from __future__ import annotations

import pytest

from tables.aggregations.kind import content, parse
from tables.kinds import Filter
from tests.unit.aggregations.claims import a_document

WRITTEN = a_document(
    functions=[
        {"as": "total", "function": "sum", "of": "event.total_charge"},
        {"as": "n", "function": "count"},
    ],
    windows={"kind": "tumbling", "size_ms": 60_000},
    output={"topic": "claims.by-payer", "mode": "finals"},
    grace_ms=5,
)


def test_content_is_what_a_person_writes() -> None:
    """Without the version, what the platform sets and defaults; parsing it gives the aggregation again."""
    document = parse({**WRITTEN, "serving": 7, "paused_because": "too many keys"})
    document["functions"][0]["type"] = "decimal(2)"
    written = content(document)
    assert written == {
        **{name: value for name, value in WRITTEN.items() if name != "version"},
        "state": "draft",
    }
    assert parse({**written, "version": 1}) == parse(WRITTEN)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Filter(source="canonical.claim", owner="finance", text="TOTAL_charge"), True),
        (Filter(source="canonical"), False),
        (Filter(text="unheard"), False),
    ],
    ids=["each", "source", "text"],
)
def test_a_filter_takes_one_by_each_of_its_sources(wanted: Filter, *, taken: bool) -> None:
    """As it takes a rule by its source."""
    assert wanted.takes(parse(WRITTEN), content) is taken
