"""A task: one agent on one partition, the unit of ownership, transaction and state.

It acquires (fence, offsets, state, seek), then runs chunk after chunk, each one transaction.
There is one exit for all trouble: everything is discarded, and acquired again from the start.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from fleet.errors import FatalError
from fleet.lane import metrics
from fleet.lane.acquire import Hold, acquire
from fleet.lane.bounded import in_background
from fleet.lane.dead_letter_limit import DeadLetterWatch
from fleet.lane.errors import Fenced, Lost, NotAuthorized
from fleet.lane.membership import REJOIN_EVERY_S
from fleet.lane.progress import Progress, Status
from fleet.lane.runner import Runner

if TYPE_CHECKING:
    from fleet.lane.agent import LaneAgent
    from fleet.lane.context import LaneContext

log = logging.getLogger(__name__)

RETRY_PAUSE_S = (0.2, 5.0)
WORK_ENDS_S = 1.0
HALTED_SHARE = 4
"""A halted task rests this many times as long as its last try took, if that is long."""


class Task:
    """One agent on one partition.

    Attributes:
        hold: What it holds while running: producer, reader, offsets, tables.
    """

    def __init__(self, agent: LaneAgent, partition: int, context: LaneContext) -> None:
        self.agent = agent
        self.partition = partition
        self.hold: Hold | None = None
        self._context = context
        self._progress = Progress(agent.name, partition)
        self._letters = DeadLetterWatch(agent.dead_letter_limit)
        self._ended: asyncio.Future[None] | None = None

    @property
    def name(self) -> str:
        """``agent/partition``, for logs and the status view."""
        return self._progress.name

    @property
    def status(self) -> Status:
        """Where it stands."""
        return self._progress.status

    @property
    def reason(self) -> str:
        """One line on why it is not running, or empty."""
        return self._progress.reason

    async def supervise(self) -> None:
        """Hold the partition until `stop`; whatever goes wrong, get it back."""
        failures = 0
        while not self._progress.stopping.is_set():
            started = time.monotonic()
            generation = self._context.generation
            try:
                await self._in_work()
            except Fenced as error:
                self._lose(Status.FENCED, error)
                await self._regain(generation)
            except NotAuthorized as error:
                # It is remembered: at once, or it would be forgotten again before the chunk is.
                self._lose(Status.LOST, error)
            except FatalError as error:
                self._halt(error)
                rest_s = HALTED_SHARE * (time.monotonic() - started)
                await self._progress.pause(max(self._context.config.halted_retry_s, rest_s))
            except Exception as error:  # noqa: BLE001 - one exit for all trouble
                failures = 0 if time.monotonic() - started > 60 else failures + 1  # noqa: PLR2004
                self._lose(Status.LOST, error)
                await self._progress.pause(min(RETRY_PAUSE_S[1], RETRY_PAUSE_S[0] * 2**failures))
        self._progress.tell(Status.STOPPED)

    async def _regain(self, generation: int) -> None:
        """Wait for a later generation, and go on asking for one.

        Taking the id back in this generation could rob its rightful owner (trap 6).
        """
        later = self._context.after_generation(generation)
        while not later.is_set() and not self._progress.stopping.is_set():
            if self._context.flowing().is_set():
                # In a rebalance a later generation is on its way: no need to ask for another.
                self._context.membership().rejoin()
            await self._progress.until(later, REJOIN_EVERY_S)

    async def _in_work(self) -> None:
        ended = self._ended = asyncio.get_running_loop().create_future()
        work = asyncio.ensure_future(self._hold_and_run())
        try:
            done, _ = await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
            await (work if work in done else ended)
        finally:
            self._ended = None
            # Work that does not even end when it is cancelled must not keep the partition.
            work.cancel()
            await asyncio.wait({in_background(work)}, timeout=WORK_ENDS_S)
            self._progress.busy = False
            self._progress.in_hand = 0
            hold, self.hold = self.hold, None
            if hold is not None:
                hold.discard()

    def end(self, error: Exception) -> None:
        """Let go of the hold, if there is one, because of `error`."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    async def _hold_and_run(self) -> None:
        progress, started = self._progress, time.monotonic()
        if progress.status is not Status.HALTED:
            progress.tell(Status.ACQUIRING)
        await self._context.permitted(progress.stopping)
        if progress.stopping.is_set():
            return
        self.hold = Hold(self.agent, self.partition, self._context)
        await acquire(self.hold)
        metrics.ACQUIRE_SECONDS.labels(self.agent.name).observe(time.monotonic() - started)
        progress.moved()
        if progress.status is not Status.HALTED:
            progress.tell(Status.RUNNING)
            log.info("%s runs from %s with %d rows", self.name, self.hold.offsets_text(), self.hold.rows())
        await Runner(self.hold, progress, self._letters).run()

    def lag(self) -> int:
        """Return how many offsets are not committed yet, up to the last stable one."""
        held = self._progress.in_hand + self._progress.waiting
        lag = held + (self.hold.lag() if self.hold is not None else 0)
        metrics.LAG.labels(self.agent.name, str(self.partition)).set(lag)
        return lag

    def is_at_work(self) -> bool:
        """Return whether a chunk is under way, or records wait for one."""
        progress = self._progress
        return progress.busy or self.lag() > 0

    def check_progress(self, limit_s: float) -> None:
        """Lose the hold if records wait or a chunk is in hand, and nothing came of it for long (trap 6).

        Also if a store failed: it may have been found in a web view, with no record to process.
        """
        progress = self._progress
        fetching = self.hold is not None and progress.status in (Status.RUNNING, Status.HALTED)
        if not (progress.busy or (fetching and self.lag() > 0)):
            progress.moved_at = max(progress.moved_at, time.monotonic() - limit_s / 2)
        elif time.monotonic() - progress.moved_at > limit_s:
            self.end(Lost("assigned, records waiting, no progress"))
        if self.hold is not None and (failure := self.hold.failed()) is not None:
            self.end(failure)

    async def stop(self) -> None:
        """Ask the task to end after the chunk in hand."""
        self._progress.stopping.set()

    def _lose(self, status: Status, error: Exception) -> None:
        self._progress.tell(status, str(error) or type(error).__name__)
        log.warning("%s is lost: %s: %s", self.name, type(error).__name__, self.reason)
        metrics.LOST.labels(self.agent.name, type(error).__name__).inc()
        self._context.topics.forget()

    def _halt(self, error: FatalError) -> None:
        if self._progress.halt(str(error), error.cause):
            log.error("%s is halted: %s", self.name, error)
            metrics.LOST.labels(self.agent.name, type(error).__name__).inc()
        self._context.topics.forget()
