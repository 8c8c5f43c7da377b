"""Eventfleet in the aggregation cases: what it is told, and how its rows are read."""

from __future__ import annotations

import orjson
import pytest

from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.rows import row_key
from agents.aggregator.domain.windowing import Window
from benchmarks.aggregations import AGGREGATIONS
from benchmarks.engines import Aggregate
from benchmarks.product import aggregate_row, definition_of
from benchmarks.workers.job import AGGREGATE, AGGREGATE_TEN, AGGREGATES, Job
from tables.aggregations.definition import parse_definition

START_MS = 1_767_225_620_000
JOB = Job(
    name="app",
    case=AGGREGATE,
    guarantee="exactly_once",
    bootstrap_servers="",
    registry_url="",
    source="claims",
    partitions=4,
    data_dir="",
    web_port=0,
    ready_path="",
    schema_path="",
    aggregations=AGGREGATIONS[AGGREGATE_TEN],
)


@pytest.mark.parametrize("case", AGGREGATES)
def test_definitions_are_what_teams_write(case: str) -> None:
    """Each is taken as it is, with the windows and the grace of its case."""
    for each in AGGREGATIONS[case]:
        definition = parse_definition({**definition_of(each, "claims"), "version": 1})
        spec, timing = definition.windows, each.window or each.session
        assert timing is not None
        assert definition.grace_ms == timing.grace_ms
        if each.session is not None:
            assert spec.gap_ms == each.session.gap_ms
        elif each.window is not None:
            assert spec.size_ms == each.window.size_ms
            assert (spec.hop_ms or spec.size_ms) == each.window.advance_ms
        assert len(definition.group_by) == len(each.group)


def test_rows_are_read() -> None:
    """A count is a number, decimals are texts; bars between parts of a group; sessions have ends."""
    window = Window(START_MS, START_MS + 60_000)
    value = orjson.dumps([2, [2, "30.5"], 100, 0, 0])
    key = row_key("payer-place~3", group_key(["P1", "11"]), window).encode()
    assert aggregate_row(JOB, "", key, value) == Aggregate("payer-place", f"P1|11/{START_MS}", (2, 3050))
    key = row_key("original-session~1", group_key(["1"]), window).encode()
    expected = Aggregate("original-session", f"1/{START_MS}/{START_MS + 60_000}", (2, 3050))
    assert aggregate_row(JOB, "", key, value) == expected


def test_marks_are_no_rows() -> None:
    """The offsets that a changelog holds beside its rows."""
    assert aggregate_row(JOB, "", b"__offsets__", b"{}") is None
