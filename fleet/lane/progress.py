"""Where a task stands: what its runner and its supervisor tell, and the web views and the watch read."""

from __future__ import annotations

import asyncio
import enum
import random
import time

from fleet.lane import metrics


class Status(enum.StrEnum):
    """Where a task stands."""

    ACQUIRING = "acquiring"
    RUNNING = "running"
    PAUSED = "paused"
    LOST = "lost"
    FENCED = "fenced"
    HALTED = "halted"
    STOPPED = "stopped"


class Progress:
    """The course of one task.

    Attributes:
        status: Where it stands. A halted task stays so while it tries again, until it gets on.
        reason: One line on why it is not running, or empty.
        moved_at: When it last got on, or had nothing to do (monotonic seconds).
        in_hand: Records that are taken and not committed.
        waiting: Records that are fetched and not taken.
        stopping: Set when the task is to end.
        busy: Whether a chunk is being prepared, computed or committed right now.
    """

    def __init__(self, agent: str, partition: int) -> None:
        self.name = f"{agent}/{partition}"
        self.status = Status.ACQUIRING
        self.reason = ""
        self.moved_at = time.monotonic()
        self.in_hand = 0
        self.waiting = 0
        self.stopping = asyncio.Event()
        self.busy = False
        self._labels = (agent, str(partition))
        self._halted_by: str | None = None

    def tell(self, status: Status, reason: str = "") -> bool:
        """Take a new status; return whether status or reason are other than before."""
        changed = (status, reason) != (self.status, self.reason)
        if self._halted_by is not None and status is not Status.HALTED:
            metrics.HALTED.remove(*self._labels, self._halted_by)
            self._halted_by = None
        self.status, self.reason = status, reason
        return changed

    def halt(self, reason: str, cause: str) -> bool:
        """Become halted by `cause`, a stable name of it; return whether that is new."""
        changed = self.tell(Status.HALTED, reason)
        if self._halted_by not in (None, cause):
            metrics.HALTED.remove(*self._labels, self._halted_by)
        self._halted_by = cause
        metrics.HALTED.labels(*self._labels, cause).set(1)
        return changed

    def moved(self) -> None:
        """Note that the task gets on."""
        self.moved_at = time.monotonic()

    async def pause(self, seconds: float) -> None:
        """Wait for about `seconds`, or for the stop."""
        await self.until(self.stopping, seconds * random.uniform(0.8, 1.2))  # noqa: S311 - jitter

    async def until(self, event: asyncio.Event, limit_s: float | None = None) -> None:
        """Wait for `event`, for the stop, or for `limit_s` seconds."""
        if event.is_set():
            return
        waits = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.stopping.wait())}
        _, pending = await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
