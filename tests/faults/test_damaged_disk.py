"""Tables on a disk that went bad: what is damaged is noticed and built anew, and every sum is exact."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from rocksdict import Rdict

from tests.support.lane_load import EVENTS, LIMIT_S, PARTITIONS, Load
from tests.support.lane_stores import sums_on_disk
from tests.support.polling import until
from tests.support.stack import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLICE = EVENTS // 20


def flip_a_byte(table: Path) -> None:
    """Flip the bits of one byte of a row, in each data file of a RocksDB table.

    Its rows are all written to data files first: newer ones, from its log, would hide the damage.
    """
    rows = Rdict(str(table))
    rows.flush()
    rows.close()
    files = list(table.glob("*.sst"))
    assert files, f"no data file in {table}"
    for file in files:
        content = bytearray(file.read_bytes())
        content[20] ^= 0xFF
        file.write_bytes(content)


def lose_the_manifest(table: Path) -> None:
    """Delete the file that names a RocksDB table's data files."""
    for file in table.glob("MANIFEST-*"):
        file.unlink()


async def test_damaged_tables_are_built_anew_from_their_changelogs(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Killed; then a byte flips in one table partition, another loses its MANIFEST."""
    load = await Load.prepared(cluster, unique, seed=20260160, poison_share=0.01)
    workers = new_workers(load.app_id, load.source)
    workers.environment["EVENTFLEET_STORE"] = "rocksdb"
    (port,) = free_ports(1)
    await load.send(SLICE)
    worker = workers.start(port)
    await load.live([worker], "the start")
    await load.consumed()
    worker.kill()
    tables = {int(path.name): path for path in workers.folder.glob("data/tables/*/sums/*")}
    assert sorted(tables) == list(range(PARTITIONS))
    flip_a_byte(tables[0])
    lose_the_manifest(tables[1])

    worker = workers.start(port)
    await load.live([worker], "the damage")
    await load.send(SLICE)
    await load.consumed()
    await load.check()

    async def told() -> bool:
        return all(f"sums/{partition} is damaged" in worker.said() for partition in (0, 1))

    await until(told, LIMIT_S, "both named in the log")
    worker.signal(signal.SIGTERM)
    assert await worker.ended(LIMIT_S) == 0
    assert sums_on_disk(workers.folder / "data" / "tables", port) == load.ledger.sums
