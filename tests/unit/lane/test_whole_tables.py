"""Views of a whole table: the worker goes on with all else meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.lane import LaneApp
from fleet.lane.store import SLICE_ROWS, Store
from fleet.lane.stores import MemoryStore
from tests.support.lane_stores import new_store

ROWS = 100_000

NewStore = Callable[[Path], Store]


def in_memory(folder: Path) -> Store:
    """Return an empty store in memory."""
    del folder
    return MemoryStore()


def app_with(stores: dict[int, Store], monkeypatch: pytest.MonkeyPatch) -> LaneApp:
    """Return an app that holds these partitions of its table ``sums``."""
    app = LaneApp("claims")
    app.lane_table("sums")
    monkeypatch.setattr(app.lane.host, "owned", lambda _table: stores)
    return app


@pytest.mark.parametrize("opened", [in_memory, new_store], ids=["memory", "rocksdb"])
async def test_the_loop_goes_on_while_a_table_is_read(
    opened: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other work, such as the group's heartbeats, has a turn after every slice of 100,000 rows."""
    store = opened(tmp_path / "0")
    store.apply({f"{number:06}": number for number in range(ROWS)}, {}, 1)
    app = app_with({0: store}, monkeypatch)
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beating = asyncio.ensure_future(beat())
    total = sum([row async for _, row in app.lane_rows("sums", {0})])
    beating.cancel()
    store.close()
    assert total == sum(range(ROWS))
    assert turns >= ROWS // SLICE_ROWS


async def test_only_the_partitions_asked_for_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker answers for its own part of a table."""
    stores: dict[int, Store] = {number: MemoryStore({f"key-{number}": number}) for number in range(3)}
    app = app_with(stores, monkeypatch)
    assert [row async for _, row in app.lane_rows("sums", {0, 2, 7})] == [0, 2]
