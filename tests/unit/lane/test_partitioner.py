"""Keys are placed as the Java client places them."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from fleet.lane.partitioner import partition_of

# From Kafka's own UtilsTest.testMurmur2.
JAVA_MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA_MURMUR2)
@pytest.mark.parametrize("partitions", [1, 4, 12, 1000])
def test_known_keys_go_where_java_puts_them(key: bytes, partitions: int) -> None:
    """The sign bit of Java's murmur2 is masked off, then the remainder taken."""
    assert partition_of(key, partitions) == (JAVA_MURMUR2[key] & 0x7FFFFFFF) % partitions


@given(st.binary(max_size=64), st.integers(1, 100))
def test_any_key_goes_where_the_client_would_put_it(key: bytes, partitions: int) -> None:
    """The cached hash agrees with aiokafka's partitioner, so co-partitioning holds."""
    everything = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everything, everything)
