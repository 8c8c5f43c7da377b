"""Stores on disk for tests, and ways to damage them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import orjson

from fleet.lane.store import OFFSETS_KEY
from fleet.lane.stores.rocks import RocksMemory, RocksStore
from tests.support.lane_worker import TABLE

MEMORY_BYTES = 8 << 20


@dataclass(frozen=True)
class Row:
    """A changelog record."""

    key: bytes
    value: bytes | None


def new_store(folder: Path) -> RocksStore:
    """Open the store in `folder`, with memory of its own."""
    return RocksStore(folder, RocksMemory(MEMORY_BYTES))


def offsets_row(next_offset: int) -> Row:
    """Return the record that ends a transaction's rows."""
    return Row(OFFSETS_KEY, orjson.dumps({"source": next_offset}))


def files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a store, or of all stores in `folder`, the largest first."""
    return sorted(folder.rglob(pattern), key=lambda path: -path.stat().st_size)


def flip(path: Path) -> None:
    """Flip one bit in the first third of a file, where a table file has its rows."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def sums_on_disk(folder: Path, port: int) -> dict[str, tuple[int, Decimal]]:
    """Return the sums that the worker with this port has left in `folder` (see `lane_worker`)."""
    sums: dict[str, tuple[int, Decimal]] = {}
    for place in folder.glob(f"*-{port}/{TABLE}/*"):
        store = new_store(place)
        sums |= {key: (count, Decimal(charges)) for key, (count, charges) in store.items()}
        store.close()
    return sums


@contextmanager
def no_file_over(size_bytes: int) -> Iterator[None]:
    """Let this process write no file beyond this size: to its writer as good as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
