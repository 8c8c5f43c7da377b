"""Both stores hold the same: rows, order and positions, through crashes and replays."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fleet.lane.errors import StoreError
from fleet.lane.store import DELETED, SLICE_ROWS
from fleet.lane.stores.memory import MemoryStore
from tests.support.lane_stores import Row, files, new_store, offsets_row

KEYS = st.text("ab\x00\ud7ff\ue000\U0010ffff", max_size=3)
VALUES = st.one_of(
    st.none(), st.integers(-9, 9), st.text(max_size=3), st.lists(st.integers(0, 3), max_size=3)
)
ROWS = st.dictionaries(KEYS, VALUES | st.just(DELETED), max_size=6)


class EqualStores(RuleBasedStateMachine):
    """A store on disk beside one in memory, and the changelog of both."""

    @initialize()
    def begin(self) -> None:
        """Open an empty store."""
        self.folder = Path(tempfile.mkdtemp())
        self.log: list[Row] = []
        self.disk = new_store(self.folder / "0")
        self.memory = MemoryStore()
        self.opened = 0

    def teardown(self) -> None:
        """Leave no files."""
        if hasattr(self, "folder"):
            self.disk.close()
            shutil.rmtree(self.folder)

    @rule(rows=ROWS)
    def apply(self, rows: dict[str, Any]) -> None:
        """Commit a chunk."""
        for key, value in rows.items():
            self.log.append(Row(key.encode(), None if value is DELETED else orjson.dumps(value)))
        self.log.append(offsets_row(len(self.log)))
        for store in (self.disk, self.memory):
            store.apply(rows, {"source": len(self.log) - 1}, len(self.log))

    @rule()
    def reopen(self) -> None:
        """Stop and start in order: nothing is read again."""
        self.disk.close()
        self.disk = new_store(self.folder / str(self.opened))
        assert self.disk.position == self.memory.position

    @rule(lost=st.floats(0, 1))
    def crash(self, lost: float) -> None:
        """Crash, some of the newest writes lost: a prefix of the log is there, the rest is read again."""
        self.opened += 1
        left = self.folder / str(self.opened)
        shutil.copytree(self.folder / str(self.opened - 1), left)
        for wal in files(left, "*.log")[:1]:
            with wal.open("r+b") as file:
                file.truncate(int(wal.stat().st_size * lost))
        self.disk.close()
        self.disk = new_store(left)
        prefix = MemoryStore()
        position = self.disk.position or 0
        prefix.replay(self.log[:position], position)
        assert list(self.disk.items()) == sorted(prefix.items())
        assert self.disk.offsets == prefix.offsets
        self.disk.replay(self.log[position:], len(self.log))
        self.memory.replay((), len(self.log))

    @rule(back=st.integers(0, 12))
    def replay_again(self, back: int) -> None:
        """Read part of the log twice, as from an older position: it comes to the same."""
        self.disk.replay(self.log[max(0, len(self.log) - back) :], len(self.log))
        self.memory.replay(self.log[max(0, len(self.log) - back) :], len(self.log))

    @rule()
    def rebuild(self) -> None:
        """Forget all and read the whole log."""
        for store in (self.disk, self.memory):
            store.clear()
            assert (store.position, dict(store.offsets), list(store.items())) == (None, {}, [])
            store.replay(self.log, len(self.log))

    @rule(start=KEYS, stop=KEYS | st.none())
    def scan(self, start: str, stop: str | None) -> None:
        """Scan a range."""
        assert list(self.disk.scan(start, stop)) == list(self.memory.scan(start, stop))

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        """Look a row up; a row that is None is no missing row."""
        assert self.disk.get(key, "missing") == self.memory.get(key, "missing")
        assert (key in self.disk) == (key in self.memory)

    @invariant()
    def equal(self) -> None:
        """Whatever happened: the same rows, and standing at the same place."""
        if hasattr(self, "disk"):
            assert list(self.disk.items()) == sorted(self.memory.items())
            assert self.disk.offsets == self.memory.offsets


TestEqualStores = EqualStores.TestCase
TestEqualStores.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)


def both(folder: Path) -> Iterator[Any]:
    """Return a store of each kind."""
    yield MemoryStore()
    yield new_store(folder)


def test_an_unknown_position_leaves_the_one_before(tmp_path: Path) -> None:
    """An earlier position is always right, a guessed one could pass records over."""
    for store in both(tmp_path):
        store.apply({"a": 1}, {"source": 1}, 10)
        store.apply({"a": 2}, {"source": 2}, None)
        assert (store.position, store.get("a"), store.offsets) == (10, 2, {"source": 2})
        store.close()


def test_a_key_that_is_no_text_is_in_no_store(tmp_path: Path) -> None:
    """Half a surrogate pair has no UTF-8: no such row can be, and asking is no error."""
    for store in both(tmp_path):
        assert store.get("\ud800", "missing") == "missing"
        assert "\ud800" not in store
        store.close()


def test_only_the_end_of_the_changelog_makes_a_store_current(tmp_path: Path) -> None:
    """A replay that was cut short does not hide how old the rows before it are."""
    for store in both(tmp_path):
        store.replay([Row(b"a", b"1")], 1)
        assert store.current_ms is None
        store.replay([], 2, 1000)
        store.replay([Row(b"a", b"2")], 3)
        assert store.current_ms == 1000
        store.apply({}, {}, 4)
        assert (store.current_ms or 0) > 1000
        store.close()
    assert new_store(tmp_path).current_ms == store.current_ms


def test_slices_hold_every_row_once(tmp_path: Path) -> None:
    """However many rows there are: none, a slice exactly, one row more."""
    for count in (0, SLICE_ROWS, SLICE_ROWS + 1):
        for store in both(tmp_path / str(count)):
            store.apply({f"{number:05}": number for number in range(count)}, {}, 1)
            slices = list(store.slices())
            assert all(0 < len(rows) <= SLICE_ROWS for rows in slices)
            assert sorted(row for rows in slices for row in rows) == sorted(store.items())
            store.close()


def test_rows_may_change_between_two_slices(tmp_path: Path) -> None:
    """A row that stays is given once, as it was or as it is; the store can be closed in between."""
    for store in both(tmp_path):
        store.apply({f"{number:05}": 0 for number in range(2 * SLICE_ROWS)}, {}, 1)
        slices = store.slices()
        first = next(slices)
        store.apply({"00000": DELETED, f"{SLICE_ROWS:05}": 1, "99999": 1}, {}, 2)
        found = [*first, *(row for rows in slices for row in rows)]
        assert len({key for key, _ in found}) == len(found)
        assert {key for key, _ in found} >= {f"{number:05}" for number in range(1, 2 * SLICE_ROWS)}
        store.close()


def test_between_two_slices_the_folder_is_free(tmp_path: Path) -> None:
    """A partition may go to another task while a view reads it: that view then fails, not the task."""
    store = new_store(tmp_path / "0")
    store.apply({f"{number:05}": 0 for number in range(2 * SLICE_ROWS)}, {}, 1)
    slices = store.slices()
    next(slices)
    store.close()
    new_store(tmp_path / "0").close()
    with pytest.raises(StoreError):
        next(slices)
