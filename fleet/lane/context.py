"""What the tasks of one worker share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from fleet.lane.errors import Halted, Lost

if TYPE_CHECKING:
    from fleet.lane.agent import LaneAgent
    from fleet.lane.background import Background
    from fleet.lane.config import LaneConfig
    from fleet.lane.membership import Membership
    from fleet.lane.store import Store
    from fleet.lane.topics import Topics
    from fleet.lane.versions import Version


class LaneContext(Protocol):
    """The worker as its tasks see it."""

    config: LaneConfig
    group: str
    version: Version
    topics: Topics
    background: Background

    @property
    def generation(self) -> int:
        """Count of assignments so far."""
        ...

    def membership(self) -> Membership:
        """Return the worker's group membership."""
        ...

    def changelog(self, table: str) -> str:
        """Return the changelog topic of `table`."""
        ...

    def after_generation(self, generation: int) -> asyncio.Event:
        """Return an event set once a later generation is assigned."""
        ...

    def flowing(self) -> asyncio.Event:
        """Return the event that is set while no rebalance is going on."""
        ...

    async def permitted(self, stopping: asyncio.Event) -> None:
        """Wait until the group confirms this member, so that fencing cannot rob another."""
        ...

    async def open_store(self, table: str, partition: int) -> Store:
        """Open the store of a table partition: this worker's standby of it, if there is one."""
        ...

    async def check_partitions(self, agent: LaneAgent) -> None:
        """Refuse an agent whose topics do not have the same number of partitions."""
        ...


def same_partitions(agent: str, counts: dict[str, int]) -> int:
    """Return the one partition count of an agent's co-partitioned topics.

    Raises:
        Halted: They differ.
    """
    if not counts:
        raise Lost(f"{agent}: no topics")
    if len(set(counts.values())) != 1:
        listed = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        message = f"agent {agent}: its topics must have the same number of partitions, but {listed}"
        hint = (
            "pass a source on through `app.repartition(name, partitions=...)` with the others' number, "
            "or create a topic with the right number and move the data; never expand in place"
        )
        raise Halted(message, hint=hint)
    return next(iter(counts.values()))
