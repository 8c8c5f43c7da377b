"""What a person may decide about a halted task, and what is refused: no Kafka needed."""

from __future__ import annotations

import pytest
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError
from fleet.lane.standing import Source, Standing, TableAt, adoption, skipping

TP = TopicPartition("claims", 2)
OTHER = TopicPartition("redrive", 2)


def standing(committed: int | None, *tables: int | None, begin: int = 0, end: int = 100) -> Standing:
    """Return a task with one source and tables that stand at these offsets."""
    at = {
        f"t{number}": TableAt({} if offset is None else {TP.topic: offset}, 1)
        for number, offset in enumerate(tables)
    }
    return Standing("sum", {TP: Source(committed, begin, end, "")}, at)


@pytest.mark.parametrize("committed", [None, 0, 70])
def test_adopting_sets_the_group_to_where_the_tables_stand(committed: int | None) -> None:
    """Forward, backward, or where the group's offset has expired; the tables are left as they are."""
    change = adoption(standing(committed, 40, 40))
    assert (change.offsets, change.marks) == ({TP: 40}, {})
    assert change.lines == (
        f"claims/2: the group goes from {'none' if committed is None else committed} to 40",
    )


def test_adopting_what_was_deleted_since_names_the_next_step() -> None:
    """The tables stand before the source's first offset: that loss is another decision."""
    change = adoption(standing(None, 40, begin=50))
    assert change.offsets == {TP: 40}
    loss = "claims/2: offsets 40 to 49 are lost, at most 10 records"
    assert change.lines[1] == f"{loss}; `eventfleet state skip` can accept that next"


def test_adopting_leaves_a_source_that_agrees() -> None:
    """Of several sources only the one that differs is written."""
    both = {TP: Source(10, 0, 100, "differs"), OTHER: Source(5, 0, 9, "")}
    change = adoption(Standing("sum", both, {"t": TableAt({"claims": 40, "redrive": 5}, 3)}))
    assert change.offsets == {TP: 40}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (standing(40), "agent sum has no tables"),
        (standing(40, 40), "group and tables agree"),
        (standing(40, 40, 41), "tables do not agree on claims/2: t0 at 40, t1 at 41"),
        (standing(40, 40, None), "t1 at none"),
        (standing(40, None), "changelogs hold no offset of claims/2"),
        (standing(40, 101), "ends at 100, before the tables' offset 101"),
    ],
)
def test_adopting_is_refused_where_it_would_not_help(given: Standing, why: str) -> None:
    """Each refusal says what differs."""
    with pytest.raises(FatalError, match=why):
        adoption(given)


def test_skipping_goes_on_at_the_first_offset_there_is() -> None:
    """Group and tables move together, so that they agree afterwards."""
    change = skipping(standing(40, 40, begin=55))
    assert (change.offsets, change.marks) == ({TP: 55}, {"claims": 55})
    assert change.lines == ("claims/2: offsets 40 to 54 are lost, at most 15 records",)


def test_skipping_without_tables_moves_the_group_alone() -> None:
    """There is no changelog to write into."""
    change = skipping(standing(40, begin=55))
    assert (change.offsets, change.marks) == ({TP: 55}, {})


def test_skipping_keeps_the_offsets_of_the_other_sources() -> None:
    """The record in the changelog names every source, as the lane writes it."""
    both = {TP: Source(40, 55, 100, "deleted"), OTHER: Source(5, 0, 9, "")}
    change = skipping(Standing("sum", both, {"t": TableAt({"claims": 40, "redrive": 5}, 3)}))
    assert (change.offsets, change.marks) == ({TP: 55}, {"claims": 55, "redrive": 5})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (standing(40, 40), "nothing was deleted unprocessed"),
        (standing(55, 55, begin=55), "nothing was deleted unprocessed"),
        (standing(None, begin=55), "nothing was deleted unprocessed"),
        (standing(40, 30, begin=55), "first run `eventfleet state adopt`"),
        (standing(None, 30, begin=55), "first run `eventfleet state adopt`"),
    ],
)
def test_skipping_is_refused_where_nothing_is_lost_or_offsets_differ(given: Standing, why: str) -> None:
    """A skip never hides a disagreement, nor moves a task that can go on."""
    with pytest.raises(FatalError, match=why):
        skipping(given)
