"""How far a worker has read the topics through which it re-keys events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from benchmarks.cluster import Cluster

ALMOST: Final = 1 - 1e-9
"""Less than all, however little is left."""


class Repartitioned:
    """The topics of one run; an asynchronous context manager.

    Args:
        cluster: The broker.
        group: The consumer group of the worker.
        topics: The topics, which need not be there yet.
        markers: Offsets at the end of a partition that are no records: the end of a transaction.
    """

    def __init__(self, cluster: Cluster, group: str, topics: Sequence[str], markers: int) -> None:
        self._cluster = cluster
        self._group = group
        self._topics = topics
        self._markers = markers
        servers = cluster.bootstrap_servers
        self._written = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
        self._committed = AIOKafkaConsumer(
            bootstrap_servers=servers, enable_auto_commit=False, isolation_level="read_committed"
        )

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
        read = await self._cluster.offsets(self._group)
        return share(read, committed, written, self._markers)


def share(
    read: Mapping[TopicPartition, int],
    committed: Mapping[TopicPartition, int],
    written: Mapping[TopicPartition, int],
    markers: int,
) -> float:
    """Return which share of what is committed is read; not 1 while anything is written and not committed.

    Args:
        read: Where the group stands; nothing for a partition that it has read nothing of.
        committed: Ends of what is committed.
        written: Ends of what is written, asked before.
        markers: As of `Repartitioned`.
    """
    whole = sum(committed.values())
    if not whole:
        return 0.0
    left = [end - read.get(tp, 0) for tp, end in committed.items()]
    found = 1 - sum(each for each in left if each > markers) / whole
    under_way = any(committed[tp] < end for tp, end in written.items())
    return min(found, ALMOST) if under_way else found
