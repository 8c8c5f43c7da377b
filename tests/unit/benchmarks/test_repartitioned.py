"""How far a worker has read the topics through which it re-keys events."""

from __future__ import annotations

from aiokafka.structs import TopicPartition

from benchmarks.repartitioned import share

ONE, OTHER = TopicPartition("t", 0), TopicPartition("t", 1)


def test_nothing_there_is_nothing_read() -> None:
    """However far the group is."""
    assert share({}, {}, {}) == 0
    assert share({}, {ONE: 0}, {ONE: 0}) == 0


def test_the_share_is_of_all_partitions() -> None:
    """What has no offset was not read."""
    ends = {ONE: 60, OTHER: 40}
    assert share({ONE: 50}, ends, ends) == 0.5


def test_one_record_is_one_too_few() -> None:
    """However many there are."""
    ends = {ONE: 60, OTHER: 10**12}
    assert share({ONE: 59, OTHER: 10**12}, ends, ends) < 1
    assert share(ends, ends, ends) == 1


def test_what_is_written_and_not_committed_is_not_all() -> None:
    """The end of what is committed moves on a moment after the offsets of its transaction."""
    read = committed = {ONE: 60}
    assert share(read, committed, {ONE: 61}) < 1
    assert int(1_000 * share(read, committed, {ONE: 61})) == 1_000 - 1
