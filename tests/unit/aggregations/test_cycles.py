"""Aggregations whose results would come round to them again."""

from __future__ import annotations

from typing import Any

import pytest

from tables.aggregations.cycles import check_cycles
from tables.aggregations.errors import AggregationError
from tables.aggregations.kind import parse
from tables.documents import Document
from tests.unit.aggregations.claims import a_document


def _reads(name: str, sources: list[str], topic: str, **fields: Any) -> Document:
    made = a_document(name=name, sources=sources, output={"topic": topic}, state="active")
    return parse({**made, **fields})


def _older(*sources: str) -> dict[str, Any]:
    """Return a build that reads other sources than the definition does now."""
    made = a_document(sources=list(sources))
    return {name: made[name] for name in ("sources", "group_by", "functions")} | {"number": 1}


CYCLES = [
    (
        [_reads("own", ["claims"], "own.results", version=2, builds=[_older("own.results")])],
        "own.results -(own)-> own.results",
    ),
    (
        [_reads("one", ["a"], "b"), _reads("two", ["canonical.claim", "b"], "a")],
        "a -(one)-> b -(two)-> a",
    ),
    (
        [_reads("one", ["a"], "b"), _reads("three", ["c"], "a"), _reads("two", ["b"], "c")],
        "a -(one)-> b -(two)-> c -(three)-> a",
    ),
    (
        [_reads("one", ["a"], "b"), _reads("two", ["c"], "a", version=2, builds=[_older("b")])],
        "a -(one)-> b -(two)-> a",
    ),
]


@pytest.mark.parametrize(
    ("table", "path"), CYCLES, ids=["its own older build", "two", "three", "an older build"]
)
def test_a_cycle_is_refused_with_the_way_round(table: list[Document], path: str) -> None:
    """The message names each aggregation and topic on the way, whatever the order of the table."""
    for order in (table, table[::-1]):
        with pytest.raises(AggregationError) as refused:
            check_cycles(order)
        assert (refused.value.message, refused.value.field) == (f"cycle: {path}", "sources")


@pytest.mark.parametrize(
    "table",
    [
        [_reads("one", ["a"], "b"), _reads("two", ["b"], "c"), _reads("again", ["a", "b"], "d")],
        [_reads("one", ["a"], "b"), _reads("two", ["b"], "a", state="draft")],
        [_reads("one", ["a"], "b"), _reads("two", ["b"], "a", state="paused")],
        [_reads("one", ["a"], "b"), _reads("two", ["b"], "")],
        [_reads("one", ["a"], ""), _reads("two", ["b"], "")],
    ],
    ids=["a chain", "a draft", "a paused one", "one that writes nothing", "none that writes"],
)
def test_what_comes_round_to_nobody_is_accepted(table: list[Document]) -> None:
    """Aggregations of aggregations are, as are those that do not run or do not write."""
    check_cycles(table)
