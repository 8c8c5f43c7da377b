"""Runs one hold on a partition: fetches, and makes each chunk one transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from aiokafka.errors import OffsetOutOfRangeError

from fleet.errors import TransientError
from fleet.lane import computing, metrics
from fleet.lane.errors import Halted
from fleet.lane.inbox import redriven
from fleet.lane.intake import FETCH_TIMEOUT_MS, Intake
from fleet.lane.pace import Pace
from fleet.lane.progress import Progress, Status
from fleet.lane.ticking import Ticks
from fleet.lane.timers import Timers
from fleet.lane.transactions import TooLargeError, Transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aiokafka import ConsumerRecord
    from aiokafka.structs import TopicPartition

    from fleet.lane.acquire import Hold
    from fleet.lane.computing import Compute
    from fleet.lane.dead_letter_limit import DeadLetterWatch

log = logging.getLogger(__name__)

SHORT_WAIT_MS = 1
PAUSE_S = 1.0


class Runner:
    """What a task does while it holds its partition.

    Args:
        hold: The hold, acquired.
        progress: The course of its task.
        letters: Dead letters of its task so far.
        clock: Gives monotonic seconds.
    """

    def __init__(
        self,
        hold: Hold,
        progress: Progress,
        letters: DeadLetterWatch,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._hold = hold
        self._agent = hold.agent
        self._context = hold.context
        self._progress = progress
        pace = self._pace = Pace(hold.agent)
        self._transactions = Transactions(hold, progress, letters, pace, clock)
        self._intake = Intake(hold.reader, progress, lambda: pace.records, hold.agent.max_fetch_bytes)
        self._labels = (hold.agent.name, str(hold.partition))
        self._records, self._clocked = computing.of_records(hold), computing.of_the_clock(hold)
        self._clock = clock
        self._lingers_until = 0.0
        self._in_hand: Collection[TopicPartition] = ()
        has_ticks = hold.agent.on_tick is not None or hold.following is not None
        self._ticks = Ticks(hold, self) if has_ticks else None

    def __contains__(self, tp: object) -> bool:
        """Return whether records of a partition are fetched, and not processed."""
        return tp in self._in_hand or tp in self._intake

    async def run(self) -> None:
        """Process what comes until the task is to stop.

        Raises:
            Exception: Whatever goes wrong: the hold is to be discarded.
        """
        while not self._progress.stopping.is_set():
            await self._until_others_are_followed()
            if self._progress.stopping.is_set():
                return
            # What was taken in and not processed is read again.
            inbox = self._hold.inbox
            await self._hold.take_position([] if inbox is None else [inbox.stopped()])
            if self._ticks is not None:
                self._ticks.at_once()

    async def _until_others_are_followed(self) -> None:
        """Process what comes until the task is to stop, or what it follows has changed."""
        hold, ticks = self._hold, self._ticks
        async with self._intake.open():
            while not self._progress.stopping.is_set():
                if hold.following is not None and await hold.following.is_other(hold.state(), self):
                    return
                wait_ms = await self._fire() if self._agent.on_timer else FETCH_TIMEOUT_MS
                if ticks is not None:
                    wait_ms = await self._tick(ticks, wait_ms)
                if self._agent.linger_s:
                    await self._intake.fill(self._lingers_until - self._clock())
                self._in_hand = fetched = await self._fetch(wait_ms)
                if not fetched:
                    self._nothing_came()
                for tp, records in fetched.items():
                    if waiting := hold.from_next(tp, records):
                        await self._process(tp, self._seen(tp, waiting))
                self._in_hand = ()
                self._lingers_until = self._clock() + self._agent.linger_s
                hold.look_at_inbox()

    async def _tick(self, ticks: Ticks, wait_ms: int) -> int:
        """Do what is due between chunks; return for how long to wait for records, `wait_ms` at most."""
        progress = self._progress
        if self._transactions.asked_for_tick():
            ticks.at_once()
        while ticks.is_due() and not progress.stopping.is_set():
            ticks.begins()
            try:
                await self._transactions.make(None, [], ticks.compute)
            except TransientError as error:
                ticks.at_once()
                await self._wait_out(error)
                continue
            if progress.status is Status.PAUSED:
                self._goes_on()
            if not self._hold.lag():
                # Records that wait are what the watchdog is to see getting on.
                progress.moved()
            break
        return int(max(SHORT_WAIT_MS, min(wait_ms, ticks.left_s() * 1000)))

    def _seen(self, tp: TopicPartition, records: list[Any]) -> list[Any]:
        """Return records as the agent is to see them."""
        if tp.topic != self._agent.inbox:
            return records
        self._context.topics.try_refused(tp, records[0].offset)
        return [redriven(record) for record in records]

    async def _fire(self) -> int:
        """Fire the timers that are due; return for how long to wait for records, then to look again.

        By the wall clock in one transaction, then records have their turn: a timer of either clock may set
        one of the other for what has passed, and so on for ever.
        """
        clock_done = False
        while not self._progress.stopping.is_set():
            state = self._hold.state()
            timers = Timers(self._agent.timers_table, "", state)
            if timers.due("event", timers.time_ms):
                await self._chunk(None, [], self._records)
            elif not clock_done and timers.due("wall", state.now_ms):
                await self._chunk(None, [], self._clocked)
                clock_done = True
            else:
                first = timers.first("wall")
                left_ms = FETCH_TIMEOUT_MS if first is None else first.at_ms - state.now_ms
                return min(FETCH_TIMEOUT_MS, max(SHORT_WAIT_MS, left_ms))
        return SHORT_WAIT_MS

    async def _fetch(self, wait_ms: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        try:
            return await self._intake.take(wait_ms)
        except OffsetOutOfRangeError as error:
            message = f"the source no longer has the next offset ({self._hold.offsets_text()})"
            raise Halted(message, hint="see `eventfleet state`") from error

    def _nothing_came(self) -> None:
        # A halted task that finds nothing left to do has nothing left to halt for.
        if self._progress.status is Status.HALTED and self._hold.caught_up():
            self._goes_on()

    async def _process(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        while records and not self._progress.stopping.is_set():
            self._progress.in_hand = len(records)
            chunk = self._pace.cut(records)
            try:
                done = await self._chunk(tp, chunk, self._records)
            except TooLargeError:
                self._pace.too_large(chunk)
                await asyncio.sleep(0)
            else:
                records = records[done:]
                if self._ticks is not None:
                    await self._tick(self._ticks, 0)
        self._progress.in_hand = 0

    async def _chunk(self, tp: TopicPartition | None, records: list[ConsumerRecord], compute: Compute) -> int:
        """Make `records`, or timers alone, one transaction; return how many records are done."""
        progress = self._progress
        # Not held up by a rebalance: where the partition goes elsewhere, its new owner's fence decides
        # (docs/adr/0006-sticky-assignment-and-standbys.md).
        while not progress.stopping.is_set():
            # A try counts as getting on: what the watchdog is to see is one that hangs.
            progress.moved()
            try:
                done = await self._transactions.make(tp, records, compute)
            except TransientError as error:
                await self._wait_out(error)
            else:
                progress.moved()
                if progress.status is not Status.RUNNING:
                    self._goes_on()
                return done
        return 0

    async def _wait_out(self, error: TransientError) -> None:
        metrics.PAUSES.labels(*self._labels).inc()
        if self._progress.tell(Status.PAUSED, str(error)):
            log.warning("%s pauses: %s", self._progress.name, error)
        await self._progress.pause(PAUSE_S)

    def _goes_on(self) -> None:
        self._progress.tell(Status.RUNNING)
        log.info("%s goes on from %s", self._progress.name, self._hold.offsets_text())
