"""Key to partition, as the Java client's default partitioner does it."""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

CACHED_KEYS = 262_144


@lru_cache(maxsize=CACHED_KEYS)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of `key` among `partitions` (murmur2 of the raw key bytes).

    Hashes are cached: streams repeat their keys, and the pure-Python hash costs ten times
    a look-up.
    """
    return _hash(key) % partitions
