"""The lane of one worker: makes Faust's assignment into running tasks."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from fleet.errors import FatalError, TransientError
from fleet.lane.background import Background
from fleet.lane.bounded import background_done, in_background
from fleet.lane.context import same_partitions
from fleet.lane.expansion import ExpansionWatch
from fleet.lane.generations import Generations
from fleet.lane.inbox import watch_inboxes
from fleet.lane.progress import Status
from fleet.lane.running import STOP_LIMIT_S, RunningTasks
from fleet.lane.standby import Standbys
from fleet.lane.stores import Stores
from fleet.lane.task import Task
from fleet.lane.topics import Topics
from fleet.lane.versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fleet.lane.agent import LaneAgent
    from fleet.lane.config import LaneConfig
    from fleet.lane.membership import Membership
    from fleet.lane.store import Store

log = logging.getLogger(__name__)

WATCH_EVERY_S = 2.0


class LaneHost:
    """Runs one task per agent and assigned partition.

    Args:
        config: Limits and time-outs.
        group: Consumer group, which is the app's id.
        changelog: Gives the changelog topic of a table.
        membership: Gives the group membership, once the worker has joined.
        stores: Opens the stores of table partitions; all in memory by default.
        version: The app's version, of which `group` is; its first one by default.
    """

    def __init__(
        self,
        config: LaneConfig,
        group: str,
        changelog: Callable[[str], str],
        membership: Callable[[], Membership],
        stores: Stores | None = None,
        version: Version | None = None,
    ) -> None:
        self.config = config
        self.group = group
        self.version = version or Version(group)
        self.topics = Topics(config)
        self.stores = stores or Stores()
        self.standbys = Standbys(config, self.stores.open, changelog, self.topics.tombstones_ms)
        self.agents: dict[str, LaneAgent] = {}
        self.fatal: FatalError | None = None
        self._changelog = changelog
        self._membership = membership
        self._assigned: dict[str, set[int]] = {}
        self._copied: dict[str, set[int]] = {}
        self._tasks = RunningTasks()
        self.background = Background(self._tasks.has_work)
        self._generations = Generations(membership, config.progress_limit_s)
        self._served: set[str] = set()
        self._expansion = ExpansionWatch(self.topics, changelog)
        self._watches: list[asyncio.Task[None]] = []
        self.watched_at = time.monotonic()

    # What tasks ask for (see LaneContext).

    def membership(self) -> Membership:
        """Return the worker's group membership."""
        return self._membership()

    def changelog(self, table: str) -> str:
        """Return the changelog topic of `table`."""
        return self._changelog(table)

    @property
    def generation(self) -> int:
        """Count of assignments so far."""
        return self._generations.number

    def after_generation(self, generation: int) -> asyncio.Event:
        """Return an event set once a later generation is assigned."""
        return self._generations.after(generation)

    def flowing(self) -> asyncio.Event:
        """Return the event that is set while no rebalance is going on."""
        return self._generations.flow

    async def permitted(self, stopping: asyncio.Event) -> None:
        """Wait until the group confirms this member in its generation; if it never does, join anew."""
        await self._generations.permitted(stopping)

    async def open_store(self, table: str, partition: int) -> Store:
        """Open the store of a table partition: this worker's standby of it, if there is one."""
        copy = self.standbys.take(table, partition)
        return await self.stores.open(table, partition) if copy is None else copy

    async def check_partitions(self, agent: LaneAgent) -> None:
        """Refuse an agent whose topics do not have the same number of partitions, or no longer have it."""
        await self._expansion.check(agent)

    # What the worker tells.

    async def prepare(self, agent: LaneAgent) -> None:
        """Check the agent's topics and create its missing changelogs.

        Raises:
            FatalError: A topic is missing or the partition counts differ.
        """
        counts = await self.topics.require(agent.sources, by=f"agent {agent.name}")
        await self.topics.require([agent.dead_letters], by=f"agent {agent.name}")
        partitions = same_partitions(agent.name, counts)
        for table in agent.tables:
            await self.topics.create_changelog(self.changelog(table), partitions)
        await self.check_partitions(agent)

    def add(self, agent: LaneAgent) -> None:
        """Declare an agent."""
        self.agents[agent.name] = agent

    async def serve(self, name: str) -> None:
        """Run the tasks of agent `name` until cancelled: the body of its Faust agent."""
        agent = self.agents[name]
        await self._until_ready(agent)
        self._served.add(name)
        if not self._watches:
            expansion = self._expansion.run(lambda: list(self.agents.values()), self._end_all)
            watches = (self._watch_progress(), expansion, watch_inboxes(self._tasks.with_inbox))
            self._watches = [asyncio.ensure_future(watch) for watch in watches]
        self._reconcile()
        try:
            await asyncio.Event().wait()
        finally:
            self._served.discard(name)
            own = [key for key in self._tasks.partitions() if key[0] == name]
            await self._tasks.end(self._tasks.released(own))

    async def _until_ready(self, agent: LaneAgent) -> None:
        """Wait for what the agent needs first; what is only out of reach is waited for."""
        while True:
            try:
                await agent.ready()
            except TransientError as error:
                log.warning("agent %s waits: %s", agent.name, error)
                await asyncio.sleep(1.0)
            else:
                return

    async def revoked(self) -> None:
        """A rebalance starts: tasks go on until it is known which of them stay; none acquires meanwhile."""
        self._generations.flow.clear()

    def assigned(
        self, partitions: Iterable[tuple[str, int]], standbys: Iterable[tuple[str, int]] = ()
    ) -> None:
        """A new generation: record the assignment; the work is done outside the callback (trap 4).

        Args:
            partitions: Source partitions of this worker, (topic, number).
            standbys: Source partitions of others, whose state this worker is to have a copy of.
        """
        self._generations.number += 1
        self._assigned = self._by_agent(partitions)
        self._copied = self._by_agent(standbys)
        self._reconcile()
        self._expansion.look()
        self._generations.tell()

    def _by_agent(self, partitions: Iterable[tuple[str, int]]) -> dict[str, set[int]]:
        by_topic: dict[str, set[int]] = {}
        for topic, partition in partitions:
            by_topic.setdefault(topic, set()).add(partition)
        return {
            # Whose the inbox is, its sources say: in a rolling upgrade older workers know of none.
            agent.name: set.intersection(
                *(by_topic.get(topic, set()) for topic in agent.sources if topic != agent.inbox)
            )
            for agent in self.agents.values()
        }

    def _served_of(self, by_agent: dict[str, set[int]]) -> set[tuple[str, int]]:
        return {
            (name, number) for name, numbers in by_agent.items() if name in self._served for number in numbers
        }

    def _tables_of(self, keys: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        listed = [(table, number) for name, number in keys for table in self.agents[name].tables]
        # A source that was expanded in place has partitions that its changelogs have not.
        infos = {table: self.topics.get(self.changelog(table)) for table, _ in listed}
        return [each for each in listed if (info := infos[each[0]]) is None or each[1] < info.partitions]

    def _reconcile(self) -> None:
        wanted = self._served_of(self._assigned)
        self.standbys.want(self._tables_of(self._served_of(self._copied)), self._tables_of(wanted))
        known = set(self._tasks.partitions())
        if gone := known - wanted:
            # Out of the books at once: the next assignment may give the same partition back.
            in_background(self._tasks.end(self._tasks.released(gone)))
        for name, partition in sorted(wanted - known):
            self._tasks.start((name, partition), Task(self.agents[name], partition, self))

    async def stop(self) -> None:
        """Stop all tasks after the chunk in hand, bounded, and close the shared client."""
        self._served.clear()
        for watch in self._watches:
            watch.cancel()
        self._watches = []
        await self._tasks.end(self._tasks.released(self._tasks.partitions()))
        await self.standbys.stop()
        await background_done(STOP_LIMIT_S)
        await asyncio.wait({asyncio.ensure_future(self.topics.close())}, timeout=1.0)

    def _end_all(self, agent: str, error: Exception) -> None:
        for task in self._tasks:
            if task.agent.name == agent:
                task.end(error)

    async def _watch_progress(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            self.watched_at = time.monotonic()
            for task in self._tasks:
                task.check_progress(self.config.progress_limit_s)

    # What the web views show.

    def tasks(self) -> list[Task]:
        """Return the worker's tasks, in order."""
        return list(self._tasks)

    def unready(self) -> list[str]:
        """Return why this worker is not ready; empty when it is."""
        reasons = [
            f"{task.name} is {task.status}: {task.reason}" if task.reason else f"{task.name} is {task.status}"
            for task in self.tasks()
            if task.status not in (Status.RUNNING, Status.PAUSED)
        ]
        if not self.generation:
            reasons.append("no partitions assigned yet")
        if not self.flowing().is_set():
            reasons.append("rebalancing")
        reasons.extend(f"agent {name} has not started" for name in self.agents if name not in self._served)
        return reasons

    def partition_state(self, table: str, partition: int) -> Store | None:
        """Return a table partition that this worker owns and has loaded, or None."""
        return self._tasks.partition_state(table, partition)

    def owned(self, table: str) -> dict[int, Store]:
        """Return the loaded partitions of `table` on this worker."""
        return self._tasks.owned(table)

    def describe(self) -> list[dict[str, Any]]:
        """Return the tasks as JSON-serialisable rows."""
        return self._tasks.describe()
