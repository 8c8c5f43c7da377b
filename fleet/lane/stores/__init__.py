"""The stores of a worker's table partitions."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, TypeAlias

from fleet.lane.bounded import bounded
from fleet.lane.stores.memory import MemoryStore
from fleet.lane.stores.rocks import RocksMemory, RocksStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.lane.store import Store

__all__ = ["MemoryStore", "StoreKind", "Stores"]

StoreKind: TypeAlias = Literal["memory", "rocksdb"]

HAND_OVER_LIMIT_S = 10.0


class Stores:
    """Opens the stores of one worker's table partitions.

    Args:
        folder: Folder of the worker's stores on disk: ``<table>/<partition>`` in it.
        kind: Gives a table's kind of store.
        memory_bytes: Memory that all RocksDB stores of the worker share.
    """

    def __init__(
        self,
        folder: Path = Path(".eventfleet/tables"),
        kind: Callable[[str], StoreKind] = lambda _: "memory",
        memory_bytes: int = 256 << 20,
    ) -> None:
        self._folder = folder
        self._kind = kind
        self._memory_bytes = memory_bytes
        self._held: dict[Path, asyncio.Event] = {}

    @cached_property
    def _memory(self) -> RocksMemory:
        return RocksMemory(self._memory_bytes)

    @contextmanager
    def scratch(self) -> Iterator[Stores]:
        """Give stores on disk, whatever the kinds of their tables, whose files are gone after the block."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._folder, prefix="scratch-") as folder:
            yield Stores(Path(folder), lambda _: "rocksdb", self._memory_bytes)

    async def open(self, table: str, partition: int) -> Store:
        """Open the store of a table partition, with what it held when it was last closed.

        The caller closes it. One that this worker still holds is waited for: a task that ends,
        or a standby, may have the partition that a new task acquires.

        Raises:
            StoreError: The disk is full, or another process has the folder open.
            Lost: This worker did not let go of it in time.
        """
        if self._kind(table) == "memory":
            return MemoryStore()
        folder = self._folder / table / str(partition)
        while (held := self._held.get(folder)) is not None:
            await bounded(held.wait(), HAND_OVER_LIMIT_S, f"the release of store {folder} by its last user")
        released = asyncio.Event()

        def release() -> None:
            if self._held.get(folder) is released:
                del self._held[folder]
            released.set()

        store = RocksStore(folder, self._memory, release)
        self._held[folder] = released
        return store
