"""How far a worker has read the topics through which it re-keys events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from benchmarks.cluster import Cluster

ALMOST: Final = 1 - 1e-9
"""Less than all, however little is left."""
FEW: Final = 20
"""Offsets at the end of a partition that may all be no records, but the ends of transactions."""
LOOK_MS: Final = 5


class Repartitioned:
    """The topics of one run; an asynchronous context manager.

    Args:
        cluster: The broker.
        group: The consumer group of the worker.
        topics: The topics, which need not be there yet.
    """

    def __init__(self, cluster: Cluster, group: str, topics: Sequence[str]) -> None:
        self._cluster = cluster
        self._group = group
        self._topics = topics
        servers = cluster.bootstrap_servers
        self._written = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
        self._committed = AIOKafkaConsumer(
            bootstrap_servers=servers, enable_auto_commit=False, isolation_level="read_committed"
        )
        self._passed: dict[TopicPartition, tuple[int, int]] = {}

    async def __aenter__(self) -> Self:
        await self._written.start()
        await self._committed.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._written.stop()
        await self._committed.stop()

    async def share(self) -> float:
        """Return which share of what is in the topics the group has read: 1 for all, 0 for nothing."""
        tps = await self._cluster.partitions(self._topics)
        if not tps:
            return 0.0
        written = await self._written.end_offsets(tps)
        committed = await self._committed.end_offsets(tps)
        offsets = await self._cluster.offsets(self._group)
        read = {tp: offsets.get(tp, 0) for tp in tps}
        if all(end - read[tp] <= FEW for tp, end in committed.items()):
            read = {tp: await self._past_markers(tp, read[tp], end) for tp, end in committed.items()}
        return share(read, committed, written)

    async def _past_markers(self, tp: TopicPartition, offset: int, end: int) -> int:
        """Return the offset after those from `offset` that are no records.

        A group stands after the last record that it read. What follows may be the ends of several
        transactions, where several tasks write to a partition.
        """
        asked, passed = self._passed.get(tp, (-1, -1))
        position = passed if asked == offset else offset
        if position < end:
            self._committed.assign([tp])
            self._committed.seek(tp, position)
            if not await self._committed.getmany(tp, timeout_ms=LOOK_MS, max_records=1):
                position = await self._committed.position(tp)
            self._passed[tp] = offset, position
        return position


def share(
    read: Mapping[TopicPartition, int],
    committed: Mapping[TopicPartition, int],
    written: Mapping[TopicPartition, int],
) -> float:
    """Return which share of what is committed is read; not 1 while anything is written and not committed.

    Args:
        read: Where the group stands; nothing for a partition that it has read nothing of.
        committed: Ends of what is committed.
        written: Ends of what is written, asked before.
    """
    whole = sum(committed.values())
    if not whole:
        return 0.0
    left = sum(max(0, end - read.get(tp, 0)) for tp, end in committed.items())
    under_way = any(committed[tp] < end for tp, end in written.items())
    return min(1 - left / whole, ALMOST) if left or under_way else 1.0
