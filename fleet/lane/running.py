"""The tasks that a worker runs, and what they hold."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from fleet.lane.progress import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fleet.lane.acquire import Hold
    from fleet.lane.store import Store
    from fleet.lane.task import Task

log = logging.getLogger(__name__)

STOP_LIMIT_S = 5.0
SUPERVISE_AGAIN_S = 1.0

Key: TypeAlias = tuple[str, int]
"""Agent and partition."""
Released: TypeAlias = "tuple[list[Task], list[asyncio.Task[None]]]"


class RunningTasks:
    """Tasks by agent and partition."""

    def __init__(self) -> None:
        self._tasks: dict[Key, Task] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[Task]:
        """Iterate over them as they are now, in order."""
        return iter([self._tasks[key] for key in sorted(self._tasks)])

    def partitions(self) -> list[Key]:
        """Return agent and partition of each."""
        return list(self._tasks)

    def start(self, key: Key, task: Task) -> None:
        """Run a task until it is released and ended."""
        self._tasks[key] = task
        self._running[key] = asyncio.ensure_future(self._supervised(task))

    async def _supervised(self, task: Task) -> None:
        while True:
            try:
                await task.supervise()
            except Exception:
                # A defect of the supervision itself must not leave a partition without a task.
                log.exception("supervision of %s failed", task.name)
                await asyncio.sleep(SUPERVISE_AGAIN_S)
            else:
                return

    def released(self, keys: Iterable[Key]) -> Released:
        """Take tasks out of the books at once, and return them, to be ended."""
        listed = list(keys)
        return [self._tasks.pop(key) for key in listed], [self._running.pop(key) for key in listed]

    async def end(self, released: Released) -> None:
        """End released tasks after the chunk in hand, bounded."""
        tasks, running = released
        for task in tasks:
            await task.stop()
        if running:
            _, late = await asyncio.wait(running, timeout=STOP_LIMIT_S)
            for supervisor in late:
                supervisor.cancel()

    def partition_state(self, table: str, partition: int) -> Store | None:
        """Return a table partition that is held and loaded, or None."""
        for task in self._tasks.values():
            hold = task.hold
            if task.partition == partition and hold is not None and hold.ready and table in hold.tables:
                return hold.tables[table]
        return None

    def owned(self, table: str) -> dict[int, Store]:
        """Return the loaded partitions of `table`."""
        return {
            task.partition: task.hold.tables[table]
            for task in self
            if task.hold is not None and task.hold.ready and table in task.hold.tables
        }

    def has_work(self) -> bool:
        """Return whether a task that runs, of an agent that is not in the background, has work."""
        return any(
            task.is_at_work()
            for task in self._tasks.values()
            if not task.agent.background and task.status is Status.RUNNING
        )

    def with_inbox(self) -> list[Hold]:
        """Return the holds, ready ones, that have an inbox."""
        holds = [task.hold for task in self]
        return [hold for hold in holds if hold is not None and hold.ready and hold.inbox is not None]

    def describe(self) -> list[dict[str, Any]]:
        """Return them as JSON-serialisable rows."""
        return [
            {
                "agent": task.agent.name,
                "partition": task.partition,
                "status": task.status.value,
                "reason": task.reason,
                "next": {} if task.hold is None else task.hold.named(),
                "lag": task.lag(),
                "rows": 0 if task.hold is None else task.hold.rows(),
                "loaded": 0 if task.hold is None else task.hold.loaded,
            }
            for task in self
        ]
