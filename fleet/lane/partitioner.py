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


def plain_partition_of_record(record: Record, partitions: int) -> int:
    """Return what `partition_of_record` does, in Python."""
    return record.partition % partitions if record.key is None else partition_of(record.key, partitions)


partition_of: Callable[[bytes, int], int] = cached_partition_of
"""Return the partition of a key among so many partitions."""

partition_of_record: Callable[[Record, int], int] = plain_partition_of_record
"""Return the partition that a record's key gives; without a key its own partition's number does."""

if _compiled is not None:
    partition_of, partition_of_record = _compiled.partition_of, _compiled.partition_of_record
