"""Key to partition, as the Java client's default partitioner does it: murmur2 of the raw key bytes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from aiokafka.partitioner import murmur2

from fleet import native

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.lane.record import Record

CACHED_KEYS = 262_144

_compiled = native.load("fleet.lane._records")


@lru_cache(maxsize=CACHED_KEYS)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


def cached_partition_of(key: bytes, partitions: int) -> int:
    """Return what `partition_of` does, in Python.

    Hashes are cached: streams repeat their keys, and the pure-Python hash costs ten times
    a look-up.
    """
    return _hash(key) % partitions


partition_of: Callable[[bytes, int], int] = (
    cached_partition_of if _compiled is None else _compiled.partition_of
)
"""Return the partition of a key among so many partitions."""


def partition_of_record(record: Record, partitions: int) -> int:
    """Return the partition that a record's key gives; without a key its own partition's number does."""
    if _compiled is not None and type(record) is _compiled.Record:
        found: int = _compiled.partition_of_record(record, partitions)
        return found
    if record.key is None:
        return record.partition % partitions
    return partition_of(record.key, partitions)
