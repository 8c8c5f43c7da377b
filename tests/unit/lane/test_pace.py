"""Chunks are cut by records, bytes and measured time."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.lane.agent import LaneAgent
from fleet.lane.fetched import FetchedRecord
from fleet.lane.pace import FIRST_RECORDS, GROWTH, Pace


def pace(**bounds: Any) -> Pace:
    """Return the pace of an agent with these bounds."""
    return Pace(
        LaneAgent(name="a", sources=("s",), process=lambda _chunk, _state: (), dead_letters="d", **bounds)
    )


def records(count: int, value_bytes: int = 10) -> list[Any]:
    """Return records with values of that size, and without keys."""
    value = b"v" * value_bytes
    return [FetchedRecord("s", 0, offset, 0, 0, None, value, ()) for offset in range(count)]


def test_a_hold_begins_small_and_grows_while_chunks_are_cheap() -> None:
    """What a record costs is not known at first; the bound in records is never passed."""
    chosen = pace(max_chunk_records=1000)
    seen = []
    for _ in range(4):
        chunk = chosen.cut(records(5000))
        seen.append(len(chunk))
        chosen.took(chunk, seconds=0.002, output_bytes=100)
    assert seen == [FIRST_RECORDS, FIRST_RECORDS * GROWTH, 1000, 1000]


def test_a_chunk_that_took_too_long_makes_the_next_one_fit() -> None:
    """At 5 ms a record, half a second has room for a hundred."""
    chosen = pace(max_chunk_s=0.5)
    chosen.records = 8000
    chosen.took(records(1000), seconds=5.001, output_bytes=0)
    assert len(chosen.cut(records(8000))) == pytest.approx(100, abs=1)


def test_records_that_take_longer_than_a_chunk_may_go_one_by_one() -> None:
    """One record is the least, however long it takes."""
    chosen = pace(max_chunk_s=0.5)
    chosen.took(records(1), seconds=3.0, output_bytes=0)
    assert len(chosen.cut(records(5))) == 1


def test_a_chunk_that_is_not_full_lowers_the_bound_but_does_not_raise_it() -> None:
    """One dear record says what a thousand cost; one cheap record does not."""
    chosen = pace(max_chunk_s=0.5)
    chosen.took(records(1), seconds=0.0001, output_bytes=0)
    assert chosen.records == FIRST_RECORDS
    chosen.took(records(1), seconds=0.051, output_bytes=0)
    assert chosen.records == 10


def test_inputs_are_cut_by_their_bytes() -> None:
    """The records of a chunk are within the bound in bytes; one that is larger goes alone."""
    chosen = pace(max_chunk_bytes=1000)
    assert len(chosen.cut(records(50, value_bytes=100))) == 10
    assert len(chosen.cut(records(50, value_bytes=5000))) == 1


def test_output_over_the_bound_halves_the_chunk_and_output_near_it_sizes_the_next() -> None:
    """A chunk of ten that stages 4,000 of 1,000 bytes is tried with five; then two of them fit."""
    chosen = pace(max_chunk_bytes=1000)
    ten = records(10)
    chosen.too_large(ten)
    assert len(chosen.cut(ten)) == 5
    chosen.took(ten[:5], seconds=0.001, output_bytes=2000)
    assert len(chosen.cut(ten)) == 2
    chosen.too_large(ten[:1])
    assert len(chosen.cut(ten)) == 1
