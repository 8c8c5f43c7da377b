"""Rows on their way to another version of an app: in slices, and none too many."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError
from fleet.lane.agent import LaneAgent
from fleet.lane.batches import Batches
from fleet.lane.moved_rows import ROWS_IN_ONE, MovedRows
from fleet.lane.stores import MemoryStore, Stores
from fleet.lane.transaction import Transactor
from tests.support.lane_fakes import topics

SOURCE = TopicPartition("source", 0)
AGENT = LaneAgent(
    name="a", sources=("source",), process=lambda *_: (), tables=("changelog",), dead_letters="dead"
)


class Transactions:
    """Notes what is committed (see `fleet.lane.transaction.Transactor`).

    Attributes:
        records: Records of each transaction.
        offsets: Source offsets of each.
    """

    def __init__(self) -> None:
        self.records: list[int] = []
        self.offsets: list[dict[TopicPartition, int]] = []

    async def commit(self, batches: Batches, offsets: Mapping[TopicPartition, int]) -> None:
        """Note a transaction."""
        built = [batch for each in batches.by_partition.values() for batch in each]
        self.records.append(sum(batch.record_count() for batch in built))
        self.offsets.append(dict(offsets))


def moved(old: Mapping[str, Any], new: Mapping[str, Any], convert: Any = None) -> MovedRows:
    """Return rows that go from a version with the rows `old` to one that has `new`."""
    host: Any = SimpleNamespace(changelog=lambda table: table, topics=topics())
    sides = {"changelog": MemoryStore(old)}, {"changelog": MemoryStore(new)}
    return MovedRows(host, AGENT, 0, *sides, {} if convert is None else {"changelog": convert})


async def written(rows: MovedRows) -> Transactions:
    """Return the transactions that the rows are written in."""
    transactions = Transactions()
    await rows.write(cast("Transactor", transactions), {SOURCE: 7})
    return transactions


async def test_rows_go_over_in_bounded_transactions() -> None:
    """However many there are; source offsets, and where the rows stand, are in the last one alone."""
    count = 2 * ROWS_IN_ONE + 10
    rows = moved({f"{number:06}": number for number in range(count)}, {})
    assert await rows.check() == count
    found = await written(rows)
    assert found.records == [ROWS_IN_ONE, ROWS_IN_ONE, 10 + 1]
    assert found.offsets == [{}, {}, {SOURCE: 7}]


async def test_what_an_unfinished_move_has_left_is_taken_away() -> None:
    """Rows that the old version no longer has, and those that the function now leaves out."""
    rows = moved(
        {"kept": 1, "left out": 2},
        {"kept": 0, "left out": 2, "gone": 3},
        lambda _, row: row if row < 2 else None,
    )
    assert await rows.check() == 1
    changes = [(key, value) async for _, key, value in rows.changes()]
    assert changes == [(b"kept", b"1"), (b"left out", None), (b"gone", None)]


@pytest.mark.parametrize("row", [object(), "x" * 2_000_000], ids=["no JSON", "too large"])
async def test_a_row_that_cannot_be_written_is_found_before_anything_is(row: object) -> None:
    """The check refuses it, so the move ends with nothing written."""
    with pytest.raises(FatalError, match="a row of table changelog is"):
        await moved({"a": 1, "b": 2}, {}, lambda *_: row).check()


async def test_rows_in_between_are_on_disk(tmp_path: Path) -> None:
    """Whatever the kind of the table; nothing of them is left in the end."""
    folder = tmp_path / "tables"
    with Stores(folder, lambda _: "memory").scratch() as scratch:
        store = await scratch.open("sums", 0)
        store.apply({"a": 1}, {}, 1)
        assert [path.name for path in folder.glob("*/sums/0/CURRENT")] == ["CURRENT"]
        store.close()
    assert list(folder.iterdir()) == []
