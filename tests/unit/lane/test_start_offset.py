"""Where a task goes on: only where group, tables and source agree; anything else halts it."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from fleet.lane.acquire import start_offset
from fleet.lane.errors import Halted
from fleet.lane.stores import MemoryStore

TP = TopicPartition("source", 0)
EMPTY = MemoryStore()
ROWS: dict[str, Any] = {"k": 1}


def at(offset: int) -> MemoryStore:
    """Return a table that stands at `offset` of the source."""
    return MemoryStore(ROWS, {"source": offset})


@pytest.mark.parametrize(
    ("committed", "tables", "begin", "end", "expected"),
    [
        pytest.param(None, {}, 0, 0, 0, id="new, empty source"),
        pytest.param(None, {}, 0, 100, 0, id="new: from the first record"),
        pytest.param(None, {}, 40, 100, 40, id="new: from the first record there is"),
        pytest.param(None, {"t": EMPTY}, 40, 100, 40, id="new, with a table"),
        pytest.param(50, {}, 0, 100, 50, id="no table: the group's offset"),
        pytest.param(50, {"t": at(50)}, 0, 100, 50, id="group and table agree"),
        pytest.param(50, {"t": at(50), "u": at(50)}, 50, 50, 50, id="both tables agree, at the end"),
        pytest.param(0, {"t": at(0)}, 0, 10, 0, id="offset 0 is an offset"),
    ],
)
def test_goes_on_where_all_agree(
    committed: int | None, tables: dict[str, MemoryStore], begin: int, end: int, expected: int
) -> None:
    """The committed offset, or the first record where nothing was ever committed."""
    assert start_offset(TP, committed, tables, begin, end) == expected


@pytest.mark.parametrize(
    ("committed", "tables", "begin", "end", "expected"),
    [
        pytest.param(None, {"t": MemoryStore(ROWS, {"other": 5})}, 0, 3, 0, id="an agent that got one later"),
        pytest.param(5, {"t": at(5)}, 6, 6, 6, id="all read, and deleted with its commit marker"),
        pytest.param(5, {"t": at(5)}, 0, 9, 5, id="something is in it"),
    ],
)
def test_goes_on_in_an_inbox(
    committed: int | None, tables: dict[str, MemoryStore], begin: int, end: int, expected: int
) -> None:
    """It is empty for months, and deleted from meanwhile; and agents with state get one."""
    assert start_offset(TP, committed, tables, begin, end, is_inbox=True) == expected


@pytest.mark.parametrize(
    ("committed", "begin", "end"),
    [
        pytest.param(5, 7, 7, id="a record may have been deleted"),
        pytest.param(5, 6, 9, id="the deleted one is no end of a transaction"),
    ],
)
def test_an_inbox_that_lost_a_record_halts(committed: int, begin: int, end: int) -> None:
    """What was redriven and never processed is no less a loss than of any source."""
    with pytest.raises(Halted, match="were deleted before they were processed"):
        start_offset(TP, committed, {"t": at(committed)}, begin, end, is_inbox=True)


@pytest.mark.parametrize(
    ("committed", "tables", "begin", "end", "said"),
    [
        pytest.param(None, {"t": at(50)}, 0, 100, "table t stands at offset 50", id="group offset expired"),
        pytest.param(0, {"t": at(50)}, 0, 100, "the group at 0", id="group reset to the beginning"),
        pytest.param(49, {"t": at(50)}, 0, 100, "the group at 49", id="group one behind"),
        pytest.param(51, {"t": at(50)}, 0, 100, "the group at 51", id="group one ahead"),
        pytest.param(50, {"t": EMPTY}, 0, 100, "offset None", id="changelog lost"),
        pytest.param(
            50, {"t": at(50), "u": at(40)}, 0, 100, "table u stands at offset 40", id="one table of two"
        ),
        pytest.param(50, {"t": at(50), "u": EMPTY}, 0, 100, "table u", id="a table added later"),
        pytest.param(None, {"t": MemoryStore(ROWS)}, 0, 100, "table t", id="rows of unknown origin"),
        pytest.param(
            None,
            {"t": MemoryStore(ROWS, {"other": 5})},
            0,
            100,
            "table t",
            id="rows that stand in another source",
        ),
        pytest.param(50, {"t": at(50)}, 60, 100, "offsets 50 to 59 were deleted", id="retention passed it"),
        pytest.param(50, {}, 60, 100, "offsets 50 to 59 were deleted", id="retention passed it, no table"),
        pytest.param(50, {"t": at(50)}, 0, 10, "it was made anew", id="source shorter than the offset"),
    ],
)
def test_any_disagreement_halts(
    committed: int | None, tables: dict[str, MemoryStore], begin: int, end: int, said: str
) -> None:
    """Going on would lose or repeat events: it stops, names the place and says what to do."""
    with pytest.raises(Halted, match=said) as caught:
        start_offset(TP, committed, tables, begin, end)
    assert "source" in caught.value.message
    assert "eventfleet state" in caught.value.hint
    assert "\n" not in str(caught.value)
