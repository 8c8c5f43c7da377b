"""The store on disk under what disks and crashes do: a prefix of the changelog, or a clear error."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fleet.lane import metrics
from fleet.lane.errors import StoreCorruptError, StoreError
from fleet.lane.stores import Stores
from fleet.lane.stores.rocks import RocksMemory, RocksStore
from tests.support.lane_stores import MEMORY_BYTES, Row, files, flip, new_store, no_file_over
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 20_000
WRITES_FOR_EVER = """
import sys
from pathlib import Path
from tests.support.lane_stores import new_store
store = new_store(Path(sys.argv[1]))
number = store.position or 0
while True:
    store.apply({f"key-{each}": [number, "x" * 50] for each in range(40)}, {"source": number}, number + 1)
    number += 1
"""


def filled(folder: Path) -> RocksStore:
    """Return a store with rows in files, as one has that was closed and opened again."""
    store = new_store(folder)
    store.replay([Row(b"key-%05d" % number, b"%d" % number) for number in range(ROWS)], ROWS)
    store.close()
    store = new_store(folder)
    assert files(folder, "*.sst")
    return store


def rebuilt() -> float:
    """Return how many damaged stores were removed so far."""
    return float(metrics.REBUILT.labels("corrupt")._value.get())


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that writes to the store in ``tmp_path`` without end."""
    process = subprocess.Popen([sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path / "0")])
    yield process
    process.kill()
    process.wait()


async def test_a_killed_writer_leaves_a_prefix(
    tmp_path: Path, other_process: subprocess.Popen[bytes]
) -> None:
    """Killed in the midst of its writes, it leaves whole batches up to the position, and none after."""

    async def written() -> bool:
        return sum(path.stat().st_size for path in files(tmp_path, "*.log")) > 1_000_000

    await until(written, 60, "writes")
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    store = new_store(tmp_path / "0")
    position = store.position
    assert position is not None
    assert position > 100
    assert store.offsets == {"source": position - 1}
    assert {number for _, (number, _) in store.items()} == {position - 1}
    store.close()


async def test_a_folder_of_a_living_process_is_refused(
    tmp_path: Path, other_process: subprocess.Popen[bytes]
) -> None:
    """Two workers never write one store, and the second is told what to do."""

    async def begun() -> bool:
        return bool(files(tmp_path, "*.log"))

    await until(begun, 60, "the first writes")
    with pytest.raises(StoreError, match="is open elsewhere: give each worker its own port") as caught:
        new_store(tmp_path / "0")
    assert not isinstance(caught.value, StoreCorruptError)
    assert other_process.poll() is None


def test_a_flipped_bit_is_noticed_by_every_read(tmp_path: Path) -> None:
    """A look-up, a scan and a walk over all rows fail, none gives fewer rows; closed, the files go."""
    filled(tmp_path / "0").close()
    flip(files(tmp_path, "*.sst")[0])
    store = new_store(tmp_path / "0")
    before = rebuilt()
    with pytest.raises(StoreCorruptError, match="is damaged"):
        list(store.items())
    with pytest.raises(StoreCorruptError, match="is damaged"):
        list(store.scan("key-", None))
    with pytest.raises(StoreCorruptError, match="is damaged"):
        [store.get(f"key-{number:05}") for number in range(ROWS)]
    assert isinstance(store.failure, StoreCorruptError)
    store.close()
    assert rebuilt() == before + 1
    again = new_store(tmp_path / "0")
    assert (again.position, list(again.items())) == (None, [])
    again.close()


@pytest.mark.parametrize("harm", ["MANIFEST-*", "CURRENT", "*.sst", "flipped MANIFEST-*", "flipped CURRENT"])
def test_a_store_that_cannot_be_opened_begins_anew(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Files that are missing or wrong cost a replay of the changelog, with a warning and a count."""
    store = filled(tmp_path / "0")
    store.apply({"late": 1}, {}, ROWS + 1)  # Leaves a log that is not empty.
    store.close()
    for path in files(tmp_path, harm.removeprefix("flipped ")):
        flip(path) if harm.startswith("flipped") else path.unlink()
    before = rebuilt()
    with caplog.at_level(logging.WARNING):
        store = new_store(tmp_path / "0")
    assert (store.position, list(store.items()), store.failure) == (None, [], None)
    assert "read anew from its changelog" in caplog.text
    assert rebuilt() == before + 1
    store.close()


def test_a_full_disk_fails_the_write_and_keeps_what_was_there(tmp_path: Path) -> None:
    """The write is refused in one line; opened again with room, the store is the prefix before it."""
    store = filled(tmp_path / "0")
    store.apply({"key": "before"}, {"source": 1}, ROWS + 1)
    with no_file_over(100_000), pytest.raises(StoreError, match="the disk is full: free some space"):
        store.apply({f"key-{number}": "x" * 100 for number in range(5000)}, {"source": 2}, ROWS + 2)
    assert store.failure is not None
    store.close()
    store = new_store(tmp_path / "0")
    assert (store.position, store.offsets, store.get("key")) == (ROWS + 1, {"source": 1}, "before")
    assert len(list(store.items())) == ROWS + 1
    store.close()


def test_no_room_to_open_is_no_damage(tmp_path: Path) -> None:
    """A store that a full disk keeps from being opened is not removed."""
    filled(tmp_path / "0").close()
    with no_file_over(10), pytest.raises(StoreError, match="the disk is full") as caught:
        new_store(tmp_path / "0")
    assert not isinstance(caught.value, StoreCorruptError)
    store = new_store(tmp_path / "0")
    assert len(list(store.items())) == ROWS
    store.close()


def test_an_unfinished_scan_does_not_keep_the_folder(tmp_path: Path) -> None:
    """A function that stops half-way through a scan, or fails in it, holds nothing open."""
    store = filled(tmp_path / "0")
    rows = store.scan("", None)
    assert next(rows)[0] == "key-00000"
    del rows
    store.close()
    flip(files(tmp_path, "*.sst")[0])
    damaged = new_store(tmp_path / "0")
    with pytest.raises(StoreCorruptError):
        list(damaged.items())
    damaged.close()
    new_store(tmp_path / "0").close()


def test_all_stores_share_one_memory(tmp_path: Path) -> None:
    """New or opened again, however many: what one reads and writes shows in the usage of another's."""
    memory = RocksMemory(MEMORY_BYTES + 1)
    filled(tmp_path / "0").close()
    one, other = RocksStore(tmp_path / "0", memory), RocksStore(tmp_path / "1", memory)
    before = other._db.property_int_value("rocksdb.block-cache-usage")
    assert len(list(one.items())) == ROWS
    after = other._db.property_int_value("rocksdb.block-cache-usage")
    assert before is not None
    assert after is not None
    assert after > before + 50_000
    for store in (one, other):
        assert store._db.property_int_value("rocksdb.block-cache-capacity") == MEMORY_BYTES + 1
    one.apply({f"new-{number}": "x" * 100 for number in range(ROWS)}, {}, ROWS + 1)
    written = other._db.property_int_value("rocksdb.block-cache-usage")
    assert written is not None
    assert written > after + 1_000_000
    one.close()
    other.close()


async def test_a_store_is_handed_over_inside_a_worker(tmp_path: Path) -> None:
    """A task that acquires waits for the one that ends, then finds its rows; other partitions do not wait."""
    stores = Stores(tmp_path, lambda _: "rocksdb", MEMORY_BYTES)
    first = await stores.open("t", 0)
    first.apply({"a": 1}, {"source": 1}, 1)
    following = asyncio.ensure_future(stores.open("t", 0))
    (await stores.open("t", 1)).close()
    assert not following.done()
    first.close()
    second = await following
    assert second.get("a") == 1
    first.close()  # Twice is once: it must not release what the second holds.
    third = asyncio.ensure_future(stores.open("t", 0))
    await asyncio.sleep(0)
    assert not third.done()
    second.close()
    (await third).close()
