"""Runs one hold on a partition: fetches, and makes each chunk one transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from aiokafka.errors import OffsetOutOfRangeError

from fleet.errors import TransientError
from fleet.lane import metrics, staging
from fleet.lane.errors import Halted
from fleet.lane.pace import Pace
from fleet.lane.progress import Progress, Status
from fleet.lane.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import ConsumerRecord
    from aiokafka.structs import TopicPartition

    from fleet.lane.acquire import Hold
    from fleet.lane.batches import Batches
    from fleet.lane.dead_letter_limit import DeadLetterWatch

log = logging.getLogger(__name__)

FETCH_TIMEOUT_MS = 250
PAUSE_S = 1.0


class TooLargeError(Exception):
    """What a chunk stages is over the bound in bytes, and the chunk can be cut."""


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
        self._letters = letters
        self._clock = clock
        self._pace = Pace(hold.agent)
        self._labels = (hold.agent.name, str(hold.partition))

    async def run(self) -> None:
        """Process what comes until the task is to stop.

        Raises:
            Exception: Whatever goes wrong: the hold is to be discarded.
        """
        while not self._progress.stopping.is_set():
            fetched = await self._fetch()
            if not fetched:
                self._nothing_came()
            for tp, records in fetched.items():
                if waiting := self._hold.from_next(tp, records):
                    await self._process(tp, waiting)

    async def _fetch(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        hold = self._hold
        try:
            fetched: dict[TopicPartition, list[ConsumerRecord]] = await hold.reader.getmany(
                timeout_ms=FETCH_TIMEOUT_MS, max_records=self._pace.records
            )
        except OffsetOutOfRangeError as error:
            message = f"the source no longer has the next offset ({hold.offsets_text()})"
            raise Halted(message, hint="see `eventfleet state`") from error
        return fetched

    def _nothing_came(self) -> None:
        # A halted task that finds nothing left to do has nothing left to halt for.
        if self._progress.status is Status.HALTED and self._hold.caught_up():
            self._goes_on()

    async def _process(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        while records and not self._progress.stopping.is_set():
            self._progress.in_hand = len(records)
            chunk = self._pace.cut(records)
            try:
                await self._chunk(tp, chunk)
            except TooLargeError:
                self._pace.too_large(chunk)
                await asyncio.sleep(0)
            else:
                records = records[len(chunk) :]
        self._progress.in_hand = 0

    async def _chunk(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        progress = self._progress
        # Not held up by a rebalance: where the partition goes elsewhere, its new owner's fence decides
        # (docs/adr/0006-sticky-assignment-and-standbys.md).
        while not progress.stopping.is_set():
            # A try counts as getting on: what the watchdog is to see is one that hangs.
            progress.moved()
            progress.busy = True
            try:
                try:
                    await self._transact(tp, records)
                finally:
                    progress.busy = False
            except TransientError as error:
                await self._wait_out(error)
            else:
                if progress.status is not Status.RUNNING:
                    self._goes_on()
                return

    async def _wait_out(self, error: TransientError) -> None:
        metrics.PAUSES.labels(*self._labels).inc()
        if self._progress.tell(Status.PAUSED, str(error)):
            log.warning("%s pauses: %s", self._progress.name, error)
        await self._progress.pause(PAUSE_S)

    def _goes_on(self) -> None:
        self._progress.tell(Status.RUNNING)
        log.info("%s goes on from %s", self._progress.name, self._hold.offsets_text())

    async def _transact(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        agent, hold = self._agent, self._hold
        await agent.prepare(records)
        after = {**hold.next, tp: records[-1].offset + 1}
        offsets = {each.topic: at for each, at in after.items()}
        stage, batches = await self._staged(records, offsets)
        if (failure := hold.failed()) is not None:
            raise failure
        self._letters.check(records, stage.dead_letters)
        started = time.monotonic()
        written = await hold.transactor.commit(batches, after)
        metrics.COMMIT_SECONDS.labels(agent.name).observe(time.monotonic() - started)
        # Confirmed: only now does anything local change.
        hold.next = after
        for table, rows in stage.state.staged.items():
            position = written.get((hold.changelogs[table], hold.partition))
            hold.tables[table].apply(rows, offsets, position)
        self._letters.committed(records, stage.dead_letters)
        self._progress.moved()
        self._count(stage, len(records))

    async def _staged(
        self, records: list[ConsumerRecord], offsets: dict[str, int]
    ) -> tuple[staging.Stage, Batches]:
        """Compute a chunk, and learn what it takes.

        Raises:
            TooLargeError: It is to be cut.
        """
        started = self._clock()
        stage, batches = await self._computed(records, offsets)
        size_bytes = batches.size_bytes()
        if size_bytes > self._agent.max_chunk_bytes and len(records) > 1:
            raise TooLargeError
        self._pace.took(records, self._clock() - started, size_bytes)
        return stage, batches

    async def _computed(
        self, records: list[ConsumerRecord], offsets: dict[str, int]
    ) -> tuple[staging.Stage, Batches]:
        agent, topics, hold = self._agent, self._context.topics, self._hold
        config = agent.config()

        def new_state() -> State:
            return State(hold.tables, hold.partition, config)

        stage = staging.run(agent, records, new_state)
        try:
            return stage, await staging.build(agent, stage, topics, hold.changelogs, offsets)
        except staging.RowRefusedError as refused:
            log.warning("%s: %s", self._progress.name, refused)
        stage = staging.isolate(agent, records, new_state, topics, hold.changelogs)
        return stage, await staging.build(agent, stage, topics, hold.changelogs, offsets)

    def _count(self, stage: staging.Stage, records: int) -> None:
        metrics.RECORDS.labels(*self._labels).inc(records)
        metrics.OUTPUTS.labels(*self._labels).inc(len(stage.emits))
        metrics.TRANSACTIONS.labels(*self._labels).inc()
        for letter in stage.dead_letters:
            metrics.DEAD_LETTERS.labels(self._agent.name, letter.reason).inc()
        for table, state in self._hold.tables.items():
            metrics.STATE_ROWS.labels(table, self._labels[1]).set(len(state))
