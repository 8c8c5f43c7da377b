"""Makes the chunks of one hold transactions: computed, built, committed, and only then known here."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from fleet.errors import FatalError, TransientError
from fleet.lane import building, metrics
from fleet.lane.errors import Lost, NotAuthorized
from fleet.lane.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import ConsumerRecord
    from aiokafka.structs import TopicPartition

    from fleet.lane.acquire import Hold
    from fleet.lane.batches import Batches
    from fleet.lane.computing import Compute
    from fleet.lane.dead_letter_limit import DeadLetterWatch
    from fleet.lane.pace import Pace
    from fleet.lane.progress import Progress
    from fleet.lane.staging import Stage

log = logging.getLogger(__name__)


class TooLargeError(Exception):
    """What a chunk stages is over the bound in bytes, and the chunk can be cut."""


class Transactions:
    """Makes chunks transactions.

    Args:
        hold: The hold, acquired.
        progress: The course of its task.
        letters: Dead letters of its task so far.
        pace: Learns what chunks cost.
        clock: Gives monotonic seconds.
    """

    def __init__(
        self,
        hold: Hold,
        progress: Progress,
        letters: DeadLetterWatch,
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        self._hold = hold
        self._agent = hold.agent
        self._context = hold.context
        self._progress = progress
        self._letters = letters
        self._pace = pace
        self._clock = clock
        self._labels = (hold.agent.name, str(hold.partition))
        self._asks_for_tick = False

    def asked_for_tick(self) -> bool:
        """Return whether what was committed since the last time asks for a tick at once."""
        asks, self._asks_for_tick = self._asks_for_tick, False
        return asks

    async def make(self, tp: TopicPartition | None, records: list[ConsumerRecord], compute: Compute) -> int:
        """Make a chunk one transaction, in the one turn of its agent; return how many records are done.

        Args:
            tp: What the records are of, None without records.
            records: The records.
            compute: Computes the chunk.

        Raises:
            TooLargeError: It is to be cut.
            TransientError: It is to be tried again.
            Exception: The hold is to be discarded.
        """
        if not self._agent.background:
            return await self._make(tp, records, compute)
        async with self._context.background.turn(self._progress):
            return 0 if self._progress.stopping.is_set() else await self._make(tp, records, compute)

    async def _make(self, tp: TopicPartition | None, records: list[ConsumerRecord], compute: Compute) -> int:
        self._progress.busy = True
        try:
            if records or self._agent.on_tick is not None:
                await self._prepare(records)
            staged = await self._staged(tp, records, compute)
            if staged is None:
                return 0
            stage, batches, after = staged
            return await self._commit(tp, records, stage, batches, after)
        finally:
            self._progress.busy = False

    async def _commit(
        self,
        tp: TopicPartition | None,
        records: list[ConsumerRecord],
        stage: Stage,
        batches: Batches,
        after: dict[TopicPartition, int],
    ) -> int:
        agent, hold, offsets = self._agent, self._hold, _by_topic(after)
        if stage.left:
            records = records[: -stage.left]
        if (failure := hold.failed()) is not None:
            raise failure
        self._letters.check(records, stage.dead_letters)
        started = time.monotonic()
        try:
            written = await hold.transactor.commit(batches, after)
        except NotAuthorized as error:
            # Done again, the chunk makes dead letters of its outputs to them.
            self._context.topics.refuse(error.topics)
            raise
        metrics.COMMIT_SECONDS.labels(agent.name).observe(time.monotonic() - started)
        # Confirmed: only now does anything local change.
        hold.next = after
        if hold.following is not None:
            hold.following.committed(stage.state, tp)
        for table, rows in stage.state.staged.items():
            position = written.get((hold.changelogs[table], hold.partition))
            hold.tables[table].apply(rows, offsets, position)
        self._letters.committed(records, stage.dead_letters)
        self._asks_for_tick |= stage.tick_again
        self._count(stage, len(records))
        return len(records)

    async def _prepare(self, records: list[ConsumerRecord]) -> None:
        try:
            await self._agent.prepare(records)
        except (TransientError, FatalError, Lost):
            raise
        except Exception as error:
            message = f"the agent's prepare fails ({type(error).__name__})"
            raise FatalError(
                message, hint="mend it, or let it raise TransientError to be tried again"
            ) from error

    async def _staged(
        self, tp: TopicPartition | None, records: list[ConsumerRecord], compute: Compute
    ) -> tuple[Stage, Batches, dict[TopicPartition, int]] | None:
        """Compute a chunk, and learn what it takes; return it with the next source offsets after it.

        None for a tick that does nothing.

        Raises:
            TooLargeError: It is to be cut.
        """
        hold, topics, started = self._hold, self._context.topics, self._clock()
        now_ms, config = self._context.config.clock(), self._agent.config()

        def new_state() -> State:
            return State(hold.tables, hold.partition, config, now_ms)

        stage = compute(records, new_state, None)
        after = self._after(tp, records, stage)
        if tp is None and stage.is_empty():
            return None
        try:
            batches = await building.build(self._agent, stage, topics, hold.changelogs, _by_topic(after))
        except building.RowRefusedError as refused:
            log.warning("%s: %s", self._progress.name, refused)
            stage = compute(records, new_state, building.row_check(topics, hold.changelogs))
            after = self._after(tp, records, stage)
            batches = await building.build(self._agent, stage, topics, hold.changelogs, _by_topic(after))
        size_bytes = batches.size_bytes()
        if size_bytes > self._agent.max_chunk_bytes and len(records) > 1:
            raise TooLargeError
        if records:
            self._pace.took(records, self._clock() - started, size_bytes)
        return stage, batches, after

    def _after(
        self, tp: TopicPartition | None, records: list[ConsumerRecord], stage: Stage
    ) -> dict[TopicPartition, int]:
        hold, done = self._hold, len(records) - stage.left
        last: Any = records[done - 1] if done else None
        if hold.following is not None:
            hold.following.stage(stage.state, tp, last)
        if tp is None or last is None or tp not in hold.next:
            return dict(hold.next)
        offset = last.inbox_offset if tp.topic == self._agent.inbox else last.offset
        return {**hold.next, tp: offset + 1}

    def _count(self, stage: Stage, records: int) -> None:
        metrics.RECORDS.labels(*self._labels).inc(records)
        metrics.OUTPUTS.labels(*self._labels).inc(stage.count())
        metrics.TRANSACTIONS.labels(*self._labels).inc()
        for letter in stage.dead_letters:
            metrics.DEAD_LETTERS.labels(self._agent.name, letter.reason).inc()
        for table, state in self._hold.tables.items():
            metrics.STATE_ROWS.labels(table, self._labels[1]).set(len(state))


def _by_topic(offsets: dict[TopicPartition, int]) -> dict[str, int]:
    return {tp.topic: offset for tp, offset in offsets.items()}
