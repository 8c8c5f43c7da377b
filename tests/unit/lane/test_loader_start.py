"""Where a store is read on from: only where that gives all rows, else it begins anew."""

from __future__ import annotations

import pytest
from aiokafka.structs import TopicPartition

from fleet.lane.loader import start_of
from fleet.lane.store import now_ms
from fleet.lane.stores import MemoryStore

TP = TopicPartition("changelog", 0)
DAY_MS = 86_400_000


def store_at(position: int, *, age_ms: int = 0) -> MemoryStore:
    """Return a store that stands at `position` and was current so long ago."""
    store = MemoryStore({"a": 1}, {"source": 5})
    store.replay((), position, now_ms() - age_ms)
    return store


@pytest.mark.parametrize(
    ("position", "age_ms"),
    [
        pytest.param(10, 0, id="at the first offset"),
        pytest.param(50, 0, id="in the midst"),
        pytest.param(100, 0, id="at the end"),
        pytest.param(50, DAY_MS // 2 - 60_000, id="not half as old as tombstones get"),
        pytest.param(100, 9 * DAY_MS, id="old, but nothing was written since"),
        pytest.param(99, 9 * DAY_MS, id="old, and after it the marker of its own transaction alone"),
    ],
)
def test_a_store_is_read_on_from_where_it_stands(position: int, age_ms: int) -> None:
    """Its rows are kept and only the rest of the changelog is read."""
    store = store_at(position, age_ms=age_ms)
    assert start_of(TP, store, 10, 100, DAY_MS) == position
    assert store.get("a") == 1


@pytest.mark.parametrize(
    ("position", "age_ms"),
    [
        pytest.param(9, 0, id="before the first offset"),
        pytest.param(101, 0, id="after the end: the topic was made anew"),
        pytest.param(50, DAY_MS // 2 + 60_000, id="tombstones may be gone"),
        pytest.param(98, 9 * DAY_MS, id="tombstones may be gone, one record behind"),
        pytest.param(50, -60_000, id="from the future: the clock tells nothing"),
    ],
)
def test_a_store_that_cannot_be_read_on_begins_anew(position: int, age_ms: int) -> None:
    """Rows that a lost tombstone removed, or that are of another topic, do not stay."""
    store = store_at(position, age_ms=age_ms)
    assert start_of(TP, store, 10, 100, DAY_MS) == 10
    assert (list(store.items()), dict(store.offsets)) == ([], {})


def test_a_new_store_that_was_not_finished_is_read_on() -> None:
    """A first load that a crash cut short goes on where it was: it began when no tombstone was missing."""
    store = MemoryStore()
    assert start_of(TP, store, 10, 100, DAY_MS) == 10
    store.replay((), 60)
    assert start_of(TP, store, 10, 100, DAY_MS) == 60
