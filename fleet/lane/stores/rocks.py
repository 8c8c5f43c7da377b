"""A table partition in RocksDB: larger than memory, and opened again without reading its whole changelog.

Rows, source offsets and changelog position are written in one batch, so whatever a crash
leaves is a prefix of the changelog. Nothing is synced: the changelog is the truth
(docs/adr/0005-tables-in-rocksdb.md).
"""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson
from rocksdict import (
    BlockBasedOptions,
    Cache,
    ChecksumType,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
)

from fleet.lane import metrics
from fleet.lane.errors import StoreCorruptError, StoreError
from fleet.lane.store import DELETED, OFFSETS_KEY, SLICE_ROWS, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

_STANDING: Final = b"\xff"
"""Key of where the rows stand. No text has this byte in its UTF-8, so it comes after all rows."""

WRITE_BUFFER_BYTES = 16 << 20
ARENA_BLOCK_BYTES = 128 << 10
BLOCK_BYTES = 4 << 10
FILTER_BITS_PER_KEY = 10
INFO_LOG_BYTES = 1 << 20
# Far from their defaults: a write that RocksDB slows down would hold up the whole worker.
SLOWDOWN_FILES, STOP_FILES = 40, 80

_FULL = ("No space left", "File too large", "Disk quota exceeded")
_LOCKED = ("While lock file", "lock hold by current process")
_SURROUNDINGS = ("Permission denied", "Read-only file system", "Too many open files", "already closed")


class RocksMemory:
    """The memory that all RocksDB stores of a worker share: one cache of blocks, one budget of writes.

    Args:
        size_bytes: Bound on cached blocks, indexes, filters and unflushed rows together; the
            last may take half of it.
    """

    def __init__(self, size_bytes: int) -> None:
        self._cache = Cache(size_bytes)
        self._writes = WriteBufferManager.new_write_buffer_manager_with_cache(
            size_bytes // 2, allow_stall=False, cache=self._cache
        )

    def options(self) -> Options:
        """Return the options of one store."""
        blocks = BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_block_size(BLOCK_BYTES)
        blocks.set_bloom_filter(FILTER_BITS_PER_KEY, block_based=False)
        # In the cache like all else, or each open file would hold memory of its own.
        blocks.set_cache_index_and_filter_blocks(v=True)
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(v=True)
        blocks.set_checksum_type(ChecksumType.xxh3())
        options = Options(raw_mode=True)
        options.create_if_missing(create_if_missing=True)
        options.set_block_based_table_factory(blocks)
        options.set_write_buffer_manager(self._writes)
        options.set_write_buffer_size(WRITE_BUFFER_BYTES)
        options.set_arena_block_size(ARENA_BLOCK_BYTES)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_paranoid_checks(enabled=True)
        # A torn end of the write-ahead log is what a crash leaves: keep the prefix before it.
        options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
        options.set_level_zero_slowdown_writes_trigger(SLOWDOWN_FILES)
        options.set_level_zero_stop_writes_trigger(STOP_FILES)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(INFO_LOG_BYTES)
        options.set_stats_dump_period_sec(0)
        return options


def _checked() -> ReadOptions:
    options = ReadOptions()
    options.set_verify_checksums(v=True)
    return options


class RocksStore:
    """A `Store` in a folder of its own, opened by one process at a time.

    A folder that cannot be read is removed and begun anew. `len` is RocksDB's estimate: it counts
    a row twice that was written twice lately.

    Args:
        folder: Where its files are.
        memory: What all stores of the worker share.
        on_close: Called once it is closed.

    Raises:
        StoreError: The disk is full, or another process has the folder open.
    """

    def __init__(
        self, folder: Path, memory: RocksMemory, on_close: Callable[[], None] = lambda: None
    ) -> None:
        self._folder = folder
        self._memory = memory
        self._on_close = on_close
        self.failure: StoreError | None = None
        try:
            self._open()
        except StoreCorruptError as error:
            log.warning("%s: read anew from its changelog", error)
            metrics.REBUILT.labels("corrupt").inc()
            self._remove()
            self._open()

    def _open(self) -> None:
        options = self._memory.options()
        try:
            # By column family too, or an existing store opens as it was made, with 8 MiB of cache of its own.
            self._db = Rdict(str(self._folder), options, {"default": options})
            self._db.set_read_options(_checked())
        except Exception as error:
            raise self._as_store_error(error) from error
        try:
            standing = orjson.loads(self._db.get(_STANDING) or b"{}")
        except Exception as error:
            self._shut()
            raise self._as_store_error(error) from error
        self.position: int | None = standing.get("position")
        self.offsets: Mapping[str, int] = standing.get("offsets", {})
        self.current_ms: int | None = standing.get("current_ms")

    def get(self, key: str, default: Any = None) -> Any:
        """See `Store.get`."""
        try:
            value = self._db.get(key.encode())
        except UnicodeEncodeError:
            return default
        except Exception as error:
            raise self._failed(error) from error
        return default if value is None else orjson.loads(value)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key, DELETED) is not DELETED

    def __len__(self) -> int:
        estimate = None
        with suppress(DbClosedError):
            estimate = self._db.property_int_value("rocksdb.estimate-num-keys")
        return max(0, (estimate or 0) - 1)  # One is where they stand.

    def items(self) -> Iterator[tuple[str, Any]]:
        """See `Store.items`."""
        return self._between(b"", _STANDING)

    def slices(self) -> Iterator[list[tuple[str, Any]]]:
        """See `Store.slices`: an iterator of RocksDB's own for each, or one would keep the folder locked."""
        start = b""
        while rows := list(islice(self._between(start, _STANDING), SLICE_ROWS)):
            yield rows
            start = rows[-1][0].encode() + b"\x00"

    def scan(self, start: str, stop: str | None) -> Iterator[tuple[str, Any]]:
        """See `Store.scan`."""
        return self._between(start.encode(), _STANDING if stop is None else stop.encode())

    def _between(self, start: bytes, stop: bytes) -> Iterator[tuple[str, Any]]:
        loads, within = orjson.loads, _checked()
        within.set_iterate_upper_bound(stop)
        rows = None
        try:
            rows = self._db.iter(within)
            rows.seek(start)
            while rows.valid():
                yield rows.key().decode(), loads(rows.value())
                rows.next()
            # Not `Rdict.items`: at a damaged block that ends as if there were no more rows.
            rows.status()
        except Exception as error:
            # The error keeps this frame, and an iterator keeps the folder locked.
            rows = None
            raise self._failed(error) from error

    def apply(self, rows: Mapping[str, Any], offsets: Mapping[str, int], position: int | None) -> None:
        """See `Store.apply`."""
        batch, dumps = WriteBatch(raw_mode=True), orjson.dumps
        for key, value in rows.items():
            if value is DELETED:
                batch.delete(key.encode())
            else:
                batch.put(key.encode(), dumps(value))
        self._write(batch, offsets, self.position if position is None else position, now_ms())

    def replay(self, records: Iterable[Any], position: int, current_ms: int | None = None) -> None:
        """See `Store.replay`."""
        batch, offsets = WriteBatch(raw_mode=True), self.offsets
        for record in records:
            key, value = record.key, record.value
            if key == OFFSETS_KEY:
                offsets = orjson.loads(value)
            elif value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self._write(batch, offsets, position, current_ms or self.current_ms)

    def _write(
        self, batch: WriteBatch, offsets: Mapping[str, int], position: int | None, current_ms: int | None
    ) -> None:
        standing = {"position": position, "offsets": dict(offsets), "current_ms": current_ms}
        batch.put(_STANDING, orjson.dumps(standing))
        try:
            self._db.write(batch)
        except Exception as error:
            raise self._failed(error) from error
        self.offsets, self.position, self.current_ms = offsets, position, current_ms

    def clear(self) -> None:
        """See `Store.clear`."""
        self._shut()
        self._remove()
        self._open()

    def close(self) -> None:
        """See `Store.close`; what was found to be damaged is removed."""
        self._shut()
        if isinstance(self.failure, StoreCorruptError):
            metrics.REBUILT.labels("corrupt").inc()
            self._remove()
        self._on_close()

    def _shut(self) -> None:
        # With a full disk it fails, and has let go of the folder all the same.
        with suppress(Exception):
            self._db.close()

    def _remove(self) -> None:
        try:
            shutil.rmtree(self._folder)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            self._folder.unlink()

    def _failed(self, error: Exception) -> StoreError:
        """Note the first failure: an agent's function may have swallowed it."""
        failure = self._as_store_error(error)
        self.failure = self.failure or failure
        return failure

    def _as_store_error(self, error: Exception) -> StoreError:
        said, where = " ".join(str(error).split()), f"store {self._folder}"
        if any(part in said for part in _FULL):
            return StoreError(f"{where}: the disk is full", hint="free some space; it is tried again")
        if any(part in said for part in _LOCKED):
            hint = "give each worker its own port or EVENTFLEET_DATA_DIR"
            return StoreError(f"{where} is open elsewhere", hint=hint)
        if any(part in said for part in _SURROUNDINGS):
            return StoreError(f"{where} cannot be used ({said})")
        return StoreCorruptError(f"{where} is damaged ({said})")
