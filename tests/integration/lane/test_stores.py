"""Tables in RocksDB on a real broker: restarts, damaged files, a full disk; the sums stay exact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fleet.lane import metrics
from fleet.lane.stores import Stores
from tests.support.lane_host import local_lane
from tests.support.lane_load import PARTITIONS, Load, all_running
from tests.support.lane_stores import MEMORY_BYTES, files, flip, new_store, no_file_over
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_host import LocalLane
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

EVENTS = 3000


def on_disk(folder: Path) -> Stores:
    """Return the stores of a worker that keeps its tables in RocksDB."""
    return Stores(folder, lambda _: "rocksdb", MEMORY_BYTES)


def loaded(lane: LocalLane) -> int:
    """Return the changelog records that the tasks read to be up to date."""
    return sum(task["loaded"] for task in lane.host.describe())


async def run_once(load: Load, folder: Path) -> None:
    """Process what the source holds, and stop in order."""
    async with local_lane(load, stores=on_disk(folder)):
        await load.consumed()


async def test_a_restart_reads_nothing_again(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """Each commit told its changelog position, so a stopped worker comes back with all its rows."""
    load = await Load.prepared(cluster, unique, seed=31)
    await load.send(EVENTS)
    await run_once(load, tmp_path)
    async with local_lane(load, stores=on_disk(tmp_path)) as lane:
        await lane.becomes(dict.fromkeys(range(PARTITIONS), "running"))
        assert loaded(lane) == 0
        rows = {key: row for store in lane.host.owned("sums").values() for key, row in store.items()}
        assert rows == {key: [count, str(total)] for key, (count, total) in load.ledger.sums.items()}
        await load.send(EVENTS)
        await load.consumed()
    await load.check()


async def test_damaged_files_are_read_anew_from_the_changelog(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """A flipped bit in each table file, found at whatever read, costs a replay and no event."""
    load = await Load.prepared(cluster, unique, seed=32)
    await load.send(EVENTS)
    await run_once(load, tmp_path)
    for partition in range(PARTITIONS):
        new_store(tmp_path / "sums" / str(partition)).close()  # Brings the rows from the log into a file.
    tables = files(tmp_path, "*.sst")
    assert len(tables) >= PARTITIONS
    for path in tables:
        flip(path)
    before = metrics.REBUILT.labels("corrupt")._value.get()
    async with local_lane(load, stores=on_disk(tmp_path)):
        await load.send(EVENTS)
        await load.consumed()
    assert metrics.REBUILT.labels("corrupt")._value.get() >= before + PARTITIONS
    await load.check()


async def test_a_full_disk_loses_the_task_until_there_is_room(
    cluster: Cluster, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """The reason is one clear line, no state is wrong meanwhile, and with room it goes on by itself."""
    load = await Load.prepared(cluster, unique, seed=33)
    async with local_lane(load, stores=on_disk(tmp_path)) as lane:
        await lane.becomes(dict.fromkeys(range(PARTITIONS), "running"))

        async def full() -> bool:
            return any("the disk is full: free some space" in task.reason for task in lane.host.tasks())

        with no_file_over(2_000):
            await load.send(EVENTS)
            await until(full, 60, "a task that says that the disk is full", every_s=0.01)
        await load.consumed()
    await load.check()


async def test_a_killed_worker_reads_nothing_it_has(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """Killed outright amid its work: what was written before is there again, and the sums are exact."""
    load = await Load.prepared(cluster, unique, seed=34)
    await load.send(20_000)
    workers = new_workers(load.app_id, load.source)
    workers.settings = workers.settings.model_copy(update={"store": "rocksdb"})
    first = workers.start()
    await load.reached(10_000)
    first.kill()
    positions = {}
    for folder in (tmp_path / "data" / "tables").glob(f"*-{first.port}/sums/*"):
        store = new_store(folder)
        positions[int(folder.name)] = store.position or 0
        store.close()
    assert sum(positions.values()) > 0
    ends = await cluster.ends(f"{load.app_id}-sums-changelog")
    again = workers.start(first.port)
    await all_running([again])
    # Each had at most one transaction in flight: a commit that was not applied yet, or none.
    for task in await again.tasks():
        assert task["loaded"] <= ends[task["partition"]] - positions[task["partition"]]
    assert sum(task["loaded"] for task in await again.tasks()) < sum(ends.values()) / 2
    await load.consumed()
    await load.check()
