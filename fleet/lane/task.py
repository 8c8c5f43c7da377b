"""A task: one agent on one partition, the unit of ownership, transaction and state.

It acquires (fence, offsets, state, seek), then runs chunk after chunk, each one transaction.
There is one exit for all trouble: everything is discarded, and acquired again from the start.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
import time
from typing import TYPE_CHECKING

from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError, TransientError
from fleet.lane import metrics, staging
from fleet.lane.acquire import Hold, acquire
from fleet.lane.errors import Fenced, Halted, Lost
from fleet.lane.membership import REJOIN_EVERY_S
from fleet.lane.state import State

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from fleet.lane.agent import LaneAgent
    from fleet.lane.batches import Batches
    from fleet.lane.context import LaneContext

log = logging.getLogger(__name__)

FETCH_TIMEOUT_MS = 250
RETRY_PAUSE_S = (0.2, 5.0)


class Status(enum.StrEnum):
    """Where a task stands."""

    ACQUIRING = "acquiring"
    RUNNING = "running"
    PAUSED = "paused"
    LOST = "lost"
    FENCED = "fenced"
    HALTED = "halted"
    STOPPED = "stopped"


class Task:
    """One agent on one partition.

    Attributes:
        status: Where it stands.
        reason: One line on why it is not running, or empty.
        hold: What it holds while running: producer, reader, offsets, tables.
    """

    def __init__(self, agent: LaneAgent, partition: int, context: LaneContext) -> None:
        self.agent = agent
        self.partition = partition
        self.status = Status.ACQUIRING
        self.reason = ""
        self.hold: Hold | None = None
        self.progressed_at = time.monotonic()
        self._context = context
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._work: asyncio.Task[None] | None = None
        self._watchdog_fired = False

    @property
    def name(self) -> str:
        """``agent/partition``, for logs and the status view."""
        return f"{self.agent.name}/{self.partition}"

    async def supervise(self) -> None:
        """Hold the partition until `stop`; whatever goes wrong, get it back."""
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            generation = self._context.generation
            try:
                await self._in_work()
            except Fenced as error:
                self._lose(Status.FENCED, error)
                await self._regain(generation)
            except Halted as error:
                self._lose(Status.HALTED, error)
                log.error("%s is halted: %s", self.name, error)  # noqa: TRY400 - the line is the message
                await self._stopping.wait()
            except Exception as error:  # noqa: BLE001 - one exit for all trouble
                failures = 0 if time.monotonic() - started > 60 else failures + 1  # noqa: PLR2004
                self._lose(Status.LOST, error)
                await self._pause(min(RETRY_PAUSE_S[1], RETRY_PAUSE_S[0] * 2**failures))
        self.status = Status.STOPPED

    async def _regain(self, generation: int) -> None:
        """Wait for a later generation, and go on asking for one.

        Taking the id back in this generation could rob its rightful owner (trap 6).
        """
        later = self._context.after_generation(generation)
        while not later.is_set() and not self._stopping.is_set():
            self._context.membership().rejoin()
            await self._until(later, REJOIN_EVERY_S)

    async def _in_work(self) -> None:
        self._watchdog_fired = False
        self._work = asyncio.ensure_future(self._hold_and_run())
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._watchdog_fired:
                self._work.cancel()
                raise
            raise Lost("assigned, records waiting, no progress") from None
        finally:
            self._idle.set()
            hold, self.hold = self.hold, None
            if hold is not None:
                hold.discard()

    async def _hold_and_run(self) -> None:
        self.status, self.reason = Status.ACQUIRING, ""
        started = time.monotonic()
        await self._context.permitted(self._stopping)
        if self._stopping.is_set():
            return
        self.hold = Hold(self.agent, self.partition, self._context)
        await acquire(self.hold)
        metrics.ACQUIRE_SECONDS.labels(self.agent.name).observe(time.monotonic() - started)
        self.status, self.progressed_at = Status.RUNNING, time.monotonic()
        log.info("%s runs from %s with %d rows", self.name, self.hold.offsets_text(), self.hold.rows())
        await self._run(self.hold)

    async def _run(self, hold: Hold) -> None:
        reader, limit = hold.reader, self.agent.max_chunk_records
        while not self._stopping.is_set():
            try:
                fetched = await reader.getmany(timeout_ms=FETCH_TIMEOUT_MS, max_records=limit)
            except OffsetOutOfRangeError as error:
                message = f"the source no longer has the next offset ({hold.offsets_text()})"
                raise Halted(message, hint="see `eventfleet state`") from error
            for tp, records in fetched.items():
                await self._chunk(hold, tp, records)

    async def _chunk(self, hold: Hold, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        records = hold.from_next(tp, records)
        if not records:
            return
        flow = self._context.flowing()
        while not self._stopping.is_set():
            if not flow.is_set():
                await self._until(flow)
                continue  # It may have been stopped again meanwhile.
            self._idle.clear()
            try:
                await self._transact(hold, tp, records)
            except TransientError as error:
                self._idle.set()
                self.status, self.reason = Status.PAUSED, str(error)
                log.warning("%s pauses: %s", self.name, error)
                await self._pause(1.0)
            else:
                self.status, self.reason = Status.RUNNING, ""
                self._idle.set()
                return

    async def _transact(self, hold: Hold, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        agent = self.agent
        await agent.prepare(records)
        after = {**hold.next, tp: records[-1].offset + 1}
        offsets = {each.topic: at for each, at in after.items()}
        stage, batches = await self._staged(hold, records, offsets)
        started = time.monotonic()
        written = await hold.transactor.commit(batches, after)
        metrics.COMMIT_SECONDS.labels(agent.name).observe(time.monotonic() - started)
        # Confirmed: only now does anything local change.
        hold.next = after
        for table, rows in stage.state.staged.items():
            position = written.get((hold.changelogs[table], self.partition))
            hold.tables[table].apply(rows, offsets, position)
        self.progressed_at = time.monotonic()
        self._count(stage, len(records), hold)

    async def _staged(
        self, hold: Hold, records: list[ConsumerRecord], offsets: dict[str, int]
    ) -> tuple[staging.Stage, Batches]:
        agent, topics, changelogs = self.agent, self._context.topics, hold.changelogs
        config = agent.config()

        def new_state() -> State:
            return State(hold.tables, self.partition, config)

        stage = staging.run(agent, records, new_state)
        try:
            return stage, await staging.build(agent, stage, topics, changelogs, offsets)
        except staging.RowRefusedError as refused:
            log.warning("%s: %s", self.name, refused)
        stage = staging.isolate(agent, records, new_state, topics, changelogs)
        return stage, await staging.build(agent, stage, topics, changelogs, offsets)

    def _count(self, stage: staging.Stage, records: int, hold: Hold) -> None:
        labels = (self.agent.name, str(self.partition))
        metrics.RECORDS.labels(*labels).inc(records)
        metrics.OUTPUTS.labels(*labels).inc(len(stage.emits))
        metrics.TRANSACTIONS.labels(*labels).inc()
        for letter in stage.dead_letters:
            metrics.DEAD_LETTERS.labels(self.agent.name, letter.reason).inc()
        for table, state in hold.tables.items():
            metrics.STATE_ROWS.labels(table, labels[1]).set(len(state))

    def lag(self) -> int:
        """Return how many offsets lie between the position and the last stable offset."""
        lag = self.hold.lag() if self.hold is not None else 0
        metrics.LAG.labels(self.agent.name, str(self.partition)).set(lag)
        return lag

    def check_progress(self, limit_s: float) -> None:
        """Lose the hold if records wait and none was committed for `limit_s` seconds (trap 6)."""
        waiting = self.lag() > 0
        if not waiting or self.status is not Status.RUNNING:
            self.progressed_at = max(self.progressed_at, time.monotonic() - limit_s / 2)
        elif time.monotonic() - self.progressed_at > limit_s and self._work is not None:
            self._watchdog_fired = True
            self._work.cancel()

    async def idle(self) -> None:
        """Wait until no transaction of the task is in flight."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Ask the task to end after the chunk in hand."""
        self._stopping.set()

    def _lose(self, status: Status, error: Exception) -> None:
        self.status, self.reason = status, str(error) or type(error).__name__
        if not isinstance(error, FatalError):
            log.warning("%s is lost: %s: %s", self.name, type(error).__name__, self.reason)
        metrics.LOST.labels(self.agent.name, type(error).__name__).inc()
        self._context.topics.forget()

    async def _pause(self, seconds: float) -> None:
        await self._until(self._stopping, seconds * random.uniform(0.8, 1.2))  # noqa: S311 - jitter

    async def _until(self, event: asyncio.Event, limit_s: float | None = None) -> None:
        """Wait for `event`, for the stop, or for `limit_s` seconds."""
        if event.is_set():
            return
        waits = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._stopping.wait())}
        _, pending = await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
