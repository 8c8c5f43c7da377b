"""The lane's tasks in the test's own process, on a real broker, with the group in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleet.lane.agent import LaneAgent
from fleet.lane.config import LaneConfig
from fleet.lane.host import LaneHost
from fleet.lane.stores import Stores
from tests.support.lane_load import PARTITIONS
from tests.support.lane_worker import AGENT, TABLE, route_and_sum
from tests.support.polling import until

if TYPE_CHECKING:
    from aiokafka.structs import TopicPartition

    from fleet.lane.task import Task
    from tests.support.lane_load import Load

LIMIT_S = 60.0
CHUNK_RECORDS = 100


@dataclass
class Member:
    """A group member (see `fleet.lane.membership.Membership`) whose group the test plays.

    Attributes:
        known: Whether the group confirms the member.
        asked: How often it was asked to.
        rejoins: How often a new generation was asked for.
        offsets: What was committed through it.
    """

    known: bool = True
    asked: int = 0
    rejoins: int = 0
    offsets: dict[TopicPartition, int] = field(default_factory=dict)

    async def confirm(self) -> bool:
        """Answer for the group."""
        self.asked += 1
        return self.known

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Take offsets of an agent that runs at least once."""
        self.offsets.update(offsets)

    def rejoin(self) -> None:
        """Note that a new generation is wanted."""
        self.rejoins += 1


@dataclass
class LocalLane:
    """A lane host, and what the test does to it.

    Attributes:
        host: The real host of the tasks.
        member: Its group membership.
        agent: Its one agent.
    """

    host: LaneHost
    member: Member
    agent: LaneAgent
    serving: list[asyncio.Task[None]] = field(default_factory=list)

    def assign(self, partitions: Iterable[int]) -> None:
        """Give the worker these partitions, in a new generation."""
        self.host.assigned([(topic, number) for number in partitions for topic in self.agent.sources])

    def statuses(self) -> dict[int, str]:
        """Return the status of each task by partition."""
        return {task.partition: task.status.value for task in self.host.tasks()}

    def positions(self) -> dict[int, int]:
        """Return the next offset of each running task, of one source, by partition."""
        return {
            task.partition: offset
            for task in self.host.tasks()
            if task.hold is not None
            for offset in task.hold.next.values()
        }

    def task(self, partition: int) -> Task:
        """Return the task of `partition`."""
        (task,) = [task for task in self.host.tasks() if task.partition == partition]
        return task

    async def becomes(self, wanted: Mapping[int, str]) -> None:
        """Wait until each named partition has the named status."""

        async def as_wanted() -> bool:
            return {**self.statuses(), **wanted} == self.statuses()

        await until(as_wanted, LIMIT_S, f"{wanted}", every_s=0.01)


def summing_agent(load: Load) -> LaneAgent:
    """Return the agent that routes and sums a load's charges."""
    return LaneAgent(
        name=AGENT,
        sources=(load.source,),
        process=route_and_sum(load.source),
        tables=(TABLE,),
        dead_letters=f"{load.source}-dead",
        max_chunk_records=CHUNK_RECORDS,
    )


@asynccontextmanager
async def local_lane(
    load: Load,
    agent: LaneAgent | None = None,
    *,
    assigned: Iterable[int] = range(PARTITIONS),
    stores: Stores | None = None,
    **limits: Any,
) -> AsyncIterator[LocalLane]:
    """Run the tasks of an agent, by default the one that sums the load's charges.

    Args:
        load: The load; its app id is the group.
        agent: The agent.
        assigned: Partitions that it has from the start.
        stores: Opens the stores of its table; all in memory by default.
        limits: See `LaneConfig`.
    """
    config = LaneConfig(bootstrap_servers=load.cluster.servers, **limits)
    changelog: Callable[[str], str] = lambda table: f"{load.app_id}-{table}-changelog"  # noqa: E731
    member = Member()
    host = LaneHost(config, load.app_id, changelog, lambda: member, stores)
    lane = LocalLane(host, member, agent or summing_agent(load))
    host.add(lane.agent)
    await host.prepare(lane.agent)
    serving = asyncio.ensure_future(host.serve(lane.agent.name))
    try:
        lane.assign(assigned)
        yield lane
    finally:
        await host.stop()
        serving.cancel()
        await asyncio.wait({serving})
