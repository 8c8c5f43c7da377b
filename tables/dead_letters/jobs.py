"""Redriving many letters at a chosen rate, with progress, until it is done or cancelled.

A job lives in its process. Where that ends in the middle, each letter was redriven once or not at all:
the same selection asked for again goes on with those that are left.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from fleet.errors import EventfleetError
from fleet.lane.batches import record_bytes
from tables.access import KEEPERS
from tables.dead_letters.letter import LetterId
from tables.dead_letters.selection import Selection
from tables.dead_letters.service import AT_ONCE
from tables.errors import ConflictError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from tables.access import Actor
    from tables.dead_letters.service import DeadLetters

log = logging.getLogger(__name__)

RUNNING, DONE, CANCELLED, FAILED = "running", "done", "cancelled", "failed"
DEFAULT_RATE: Final = 100.0
MAX_RATE: Final = 10_000.0
MOST_BYTES: Final = 4 << 20
"""Bytes of letters that one transaction redrives, but for a single one that is larger."""

BATCH_S: Final = 0.5
MOST_RUNNING: Final = 4
MOST_KEPT: Final = 100
MOST_SAID: Final = 20


class Job(msgspec.Struct, kw_only=True):
    """One redrive of many letters.

    Attributes:
        id: Id of it.
        state: ``running``, ``done``, ``cancelled`` or ``failed``.
        by: Who asked for it.
        started_at: When, ISO 8601.
        ended_at: When it ended, or empty.
        rate: Letters a second, at most.
        redriven: Letters that it sent to their agents.
        skipped: Letters that had been redriven, edited or purged before.
        refused: Letters that cannot be redriven.
        reasons: Why, by letter, for the first of them.
        error: Why it failed, or empty.
    """

    id: str
    state: str = RUNNING
    by: str
    started_at: str
    ended_at: str = ""
    rate: float
    redriven: int = 0
    skipped: int = 0
    refused: int = 0
    reasons: dict[str, str] = msgspec.field(default_factory=dict)
    error: str = ""


class Jobs:
    """The redrive jobs of a process.

    Args:
        letters: The dead letters.
    """

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: dict[str, asyncio.Event] = {}

    def start(
        self,
        wanted: Selection | Sequence[LetterId],
        actor: Actor,
        *,
        rate: float = DEFAULT_RATE,
        reason: str = "",
    ) -> Job:
        """Begin to redrive the letters that are there now.

        Args:
            wanted: Which.
            actor: Who asks for it.
            rate: Letters a second, at most.
            reason: Why, for the audit.

        Raises:
            ForbiddenError: `actor` may not.
            InvalidInputError: The rate makes no sense.
            ConflictError: Too many jobs run.
        """
        actor.require(KEEPERS, "redrive dead letters")
        if not 0 < rate <= MAX_RATE:
            raise InvalidInputError(
                f"rate must be more than 0 and at most {MAX_RATE:g} letters a second", field="rate"
            )
        if len(self._tasks) >= MOST_RUNNING:
            hint = "wait for one, or cancel it"
            raise ConflictError(f"{MOST_RUNNING} redrives are running", version=0, hint=hint)
        job = Job(id=uuid.uuid4().hex[:12], by=actor.id, started_at=_now(), rate=rate)
        self._jobs[job.id], self._cancelled[job.id] = job, asyncio.Event()
        while len(self._jobs) > MOST_KEPT:
            self._jobs.pop(next(iter(self._jobs)))
        task = self._tasks[job.id] = asyncio.ensure_future(self._run(job, wanted, actor, reason))
        task.add_done_callback(lambda _: self._forget(job.id))
        return job

    def _forget(self, job_id: str) -> None:
        del self._tasks[job_id], self._cancelled[job_id]

    def get(self, job_id: str) -> Job:
        """Return how far a job is.

        Raises:
            NotFoundError: This process has no such job.
        """
        if job_id not in self._jobs:
            hint = "a job is known where it was started, until that process ends"
            raise NotFoundError(f"no redrive {job_id!r} here", hint=hint)
        return self._jobs[job_id]

    async def cancel(self, job_id: str, actor: Actor) -> Job:
        """End a job after the letters in hand, and return how far it came.

        Raises:
            ForbiddenError: `actor` may not.
            NotFoundError: This process has no such job.
        """
        actor.require(KEEPERS, "redrive dead letters")
        job = self.get(job_id)
        if (cancelled := self._cancelled.get(job_id)) is not None:
            cancelled.set()
            await self.ended(job_id)
        return job

    async def ended(self, job_id: str) -> Job:
        """Wait for the end of a job.

        Raises:
            NotFoundError: This process has no such job.
        """
        if (task := self._tasks.get(job_id)) is not None:
            await asyncio.wait({task})
        return self.get(job_id)

    async def stop(self) -> None:
        """Cancel all jobs after the letters in hand."""
        for cancelled in self._cancelled.values():
            cancelled.set()
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def _run(self, job: Job, wanted: Selection | Sequence[LetterId], actor: Actor, reason: str) -> None:
        try:
            job.state = await self._redriven(job, wanted, actor, reason)
        except EventfleetError as error:
            job.state, job.error = FAILED, str(error)
        except Exception as error:
            log.exception("redrive %s failed", job.id)
            job.state, job.error = FAILED, f"a defect ({type(error).__name__}): the log says more"
        finally:
            job.ended_at = _now()

    async def _redriven(
        self, job: Job, wanted: Selection | Sequence[LetterId], actor: Actor, reason: str
    ) -> str:
        """Redrive batch after batch; return how the job ended."""
        cancelled, started = self._cancelled[job.id], time.monotonic()
        async with aclosing(self._batches(job, wanted)) as batches:
            async for batch in batches:
                if cancelled.is_set():
                    return CANCELLED
                await self._redrive(job, batch, actor, reason)
                ahead_s = started + job.redriven / job.rate - time.monotonic()
                with suppress(TimeoutError):
                    await asyncio.wait_for(cancelled.wait(), max(0.0, ahead_s))
        return DONE

    async def _redrive(self, job: Job, batch: list[ConsumerRecord], actor: Actor, reason: str) -> None:
        outcome = await self._letters.redrive_all(batch, actor, reason)
        job.redriven += outcome.done
        job.skipped += outcome.skipped
        job.refused += len(outcome.refused)
        for name, why in outcome.refused.items():
            if len(job.reasons) < MOST_SAID:
                job.reasons[name] = why

    async def _batches(
        self, job: Job, wanted: Selection | Sequence[LetterId]
    ) -> AsyncGenerator[list[ConsumerRecord], None]:
        """Yield letters in batches, each for one transaction."""
        most = max(1, min(AT_ONCE, int(job.rate * BATCH_S)))
        batch: list[ConsumerRecord] = []
        size = 0
        async with aclosing(self._records(wanted)) as records:
            async for record in records:
                own = record_bytes(record.key, record.value, record.headers)
                if batch and (len(batch) == most or size + own > MOST_BYTES):
                    yield batch
                    batch, size = [], 0
                batch.append(record)
                size += own
        if batch:
            yield batch

    async def _records(self, wanted: Selection | Sequence[LetterId]) -> AsyncGenerator[ConsumerRecord, None]:
        if isinstance(wanted, Selection):
            async with aclosing(self._letters.selected(wanted)) as found:
                async for record, _ in found:
                    yield record
            return
        async with aclosing(self._letters.records(wanted)) as records:
            async for record in records:
                yield record


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
