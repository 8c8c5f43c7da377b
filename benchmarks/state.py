"""Memory of the aggregator's second stage as its rows grow: `state` of ``CASES.md``, in this process alone.

What the first stage would write is merged, closed and let expire by the worker's own code, into the worker's
own RocksDB stores. There is no broker: results and changelogs go nowhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from agents.aggregator.domain.rows import BUILDS
from benchmarks.figures import Kept
from benchmarks.measure import MeasureError
from benchmarks.second_stage import OPEN_WINDOWS, WINDOWS, Second
from fleet.lane.stores import Stores

STATE: Final = "state"
SEEN_AT: Final = (10, 20, 50, WINDOWS, WINDOWS * 6 // 5)
"""After how many windows memory is looked at; in the end a fifth more have come, and as many expired."""
_MIB: Final = 1 << 20


@dataclass(slots=True)
class Watch:
    """What was seen of the second stage, as it grew.

    Attributes:
        folder: Where its stores are.
        seen: What was seen.
    """

    folder: Path
    seen: list[Kept] = field(default_factory=list)
    _before: tuple[int, float, float] = (0, 0.0, 0.0)

    def see(self, second: Second, written: int) -> Kept:
        """Look at it now that so many rows have been written."""
        before, wall_s, cpu_s = self._before
        self._before = written, second.wall_s, second.cpu_s
        more = written - before
        keys = second.keys
        found = Kept(
            rows=keys,
            written=written,
            closed=second.told.total(),
            expired=written - keys,
            rss_mib=round(psutil.Process().memory_info().rss / _MIB, 1),
            disk_mib=round(_size_of(self.folder) / _MIB, 1),
            rows_per_s=round(more / (second.wall_s - wall_s), 1) if more else None,
            rows_per_cpu_s=round(more / (second.cpu_s - cpu_s), 1) if more else None,
        )
        self.seen.append(found)
        return found


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def measure(rows: int, folder: Path, memory_mib: int, say: Callable[[str], None]) -> list[Kept]:
    """Fill the stage to `rows` rows and go on while they expire; return what was seen on the way.

    Args:
        rows: How many rows there are in the end, a multiple of `WINDOWS`.
        folder: Where its stores are, while it lasts.
        memory_mib: Memory of all its RocksDB stores.
        say: Gets progress lines.

    Raises:
        MeasureError: A row is missing or wrong.
    """
    shutil.rmtree(folder, ignore_errors=True)
    groups = rows // WINDOWS
    stores = Stores(folder, lambda table: "memory" if table == BUILDS else "rocksdb", memory_mib << 20)
    second, watch = Second(stores, groups), Watch(folder)
    await second.open()
    try:
        _tell(watch.see(second, 0), say)
        for number in range(SEEN_AT[-1]):
            second.take(number)
            if number + 1 in SEEN_AT:
                found = watch.see(second, (number + 1) * groups)
                _tell(found, say)
                refuse_wrong(found, groups)
        gone = SEEN_AT[-1] - WINDOWS
        for number in (0, gone - 1, gone, SEEN_AT[-1] // 2, SEEN_AT[-1] - 1):
            second.check(number, there=number >= gone)
    finally:
        second.close()
        shutil.rmtree(folder, ignore_errors=True)
    return watch.seen


def refuse_wrong(found: Kept, groups: int) -> None:
    """Check how many rows are there, and how many windows have been closed.

    Raises:
        MeasureError: They are not as many as there should be.
    """
    windows = found.written // groups
    closed = max(0, windows - 1 - OPEN_WINDOWS)
    wanted: Mapping[str, tuple[int, int]] = {
        "rows": (found.rows, min(windows, WINDOWS) * groups),
        "finals": (found.closed, closed * groups),
    }
    for what, (there, right) in wanted.items():
        if there != right:
            raise MeasureError(f"after {windows} windows there are {there:,} {what}, not {right:,}")


def _tell(found: Kept, say: Callable[[str], None]) -> None:
    rates = f"{found.rows_per_s:>9,.0f} rows/s  " if found.rows_per_s else ""
    say(
        f"{STATE:<16} {found.rows:>11,} rows  {rates}{found.rss_mib:,.0f} MiB of memory, "
        f"{found.disk_mib:,.0f} MiB on disk, {found.closed:,} closed, {found.expired:,} expired"
    )
