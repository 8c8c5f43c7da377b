"""Starts dry-runs, follows those of others, ends them, and forgets them after a while."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from agents.router.dry_run.process import FailedError, Process
from agents.router.dry_run.runs import (
    CANCEL,
    HEARTBEAT_S,
    RUNNING,
    TOPIC,
    Run,
    Status,
    new_id,
    outdated,
    parse_row,
    runs_in,
)
from fleet.errors import TransientError
from fleet.lane.bounded import bounded
from fleet.lane.clients import discard, new_producer
from fleet.lane.config import LaneConfig
from fleet.lane.reading import kafka_trouble
from fleet.lane.topics import Topics
from tables.config import ConfigTable
from tables.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaProducer

    from agents.router.dry_run.job import Document, Job
    from fleet.settings import Settings

log = logging.getLogger(__name__)

MAX_RUNNING: Final = 2
"""Dry-runs at a time, of one worker."""

POLL_S: Final = 0.1
VISIBLE_LIMIT_S: Final = 3.0
SEND_LIMIT_S: Final = 10.0


class DryRuns:
    """The dry-runs of this process, and those of others as their rows tell.

    Nothing connects before it is first used.

    Args:
        settings: How to reach Kafka and the registry.
        owner: Name of this process, for people.
    """

    def __init__(self, settings: Settings, owner: str) -> None:
        self._settings = settings
        self._config = LaneConfig.of(settings)
        self._owner = owner
        self._table: ConfigTable[dict[str, Run | str]] = ConfigTable(
            self._config, TOPIC, parse_row, lambda rows, _: dict(rows)
        )
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()
        self._own: dict[str, Run] = {}
        self._processes: dict[str, Process] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: dict[str, str] = {}

    async def start(self, job: Job, request: Document, by: str) -> Run:
        """Begin a dry-run, and return it.

        Raises:
            TransientError: As many as may be run at a time do, or Kafka does not answer.
        """
        if len(self._tasks) >= MAX_RUNNING:
            hint = "wait for one to end, or cancel one (DELETE /v1/dry-runs/<id>)"
            raise TransientError(f"{len(self._tasks)} dry-runs are under way on {self._owner}", hint=hint)
        now = self._config.clock()
        run = Run(
            id=new_id(now),
            status=RUNNING,
            owner=self._owner,
            by=by,
            request=request,
            started_ms=now,
            heartbeat_ms=now,
        )
        # Before anything is awaited: of several at once only as many as may be get in.
        self._own[run.id] = run
        self._processes[run.id] = Process(self._settings, job)
        self._tasks[run.id] = asyncio.ensure_future(self._run(run))
        try:
            await self._write(run)
        except BaseException:
            self._tasks[run.id].cancel()
            self._own.pop(run.id, None)
            raise
        await self._remove_outdated()
        return run

    async def all(self) -> list[Run]:
        """Return all runs, the newest first.

        Raises:
            TransientError: Kafka does not answer.
        """
        await self._open()
        return runs_in({**self._table.snapshot(), **self._own}, self._config.clock())

    async def get(self, run_id: str) -> Run:
        """Return a run.

        Raises:
            NotFoundError: There is none of this id.
            TransientError: Kafka does not answer.
        """
        await self._open()
        # One that another process has just begun is on its way here.
        for _ in range(int(VISIBLE_LIMIT_S / POLL_S)):
            found = self._own.get(run_id) or self._table.snapshot().get(run_id)
            if isinstance(found, Run):
                return self._live(found).shown(self._config.clock())
            if not _may_be_new(run_id, self._config.clock()):
                break
            await asyncio.sleep(POLL_S)
        raise NotFoundError(f"no dry-run {run_id!r}", hint="see the list for those there are")

    async def cancel(self, run_id: str, by: str) -> Run:
        """End a run, of whichever process; one that has ended already stays as it is.

        Raises:
            NotFoundError: There is none of this id.
            TransientError: Kafka does not answer.
        """
        run = await self.get(run_id)
        if run.status != RUNNING:
            return run
        if run_id in self._tasks:
            self._cancelled[run_id] = by
            await self._processes[run_id].end()
            await asyncio.wait({self._tasks[run_id]}, timeout=SEND_LIMIT_S)
            return await self.get(run_id)
        await self._send(run_id + CANCEL, orjson.dumps({"by": by}))
        return run

    async def stop(self) -> None:
        """End the runs of this process, and close all connections."""
        for run_id in list(self._tasks):
            self._cancelled.setdefault(run_id, "the end of its worker")
            await self._processes[run_id].end()
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=SEND_LIMIT_S)
        await self._table.stop()
        producer, self._producer = self._producer, None
        discard(producer)

    async def _run(self, run: Run) -> None:
        process = self._processes[run.id]
        beating = asyncio.ensure_future(self._beat(run.id))
        try:
            report = await process.run()
        except FailedError as error:
            by = self._cancelled.pop(run.id, None)
            if by is None:
                await self._ended(run.id, beating, "failed", error=str(error))
            else:
                await self._ended(run.id, beating, "cancelled", error=f"cancelled by {by}")
        else:
            await self._ended(run.id, beating, "done", report=report)
        finally:
            beating.cancel()
            self._tasks.pop(run.id, None)
            self._processes.pop(run.id, None)
            self._cancelled.pop(run.id, None)

    async def _beat(self, run_id: str) -> None:
        """Tell every now and then that a run goes on, and end it where somebody asks for that."""
        waited_s = 0.0
        while True:
            await asyncio.sleep(POLL_S)
            waited_s += POLL_S
            wanted = self._table.snapshot().get(run_id + CANCEL)
            if isinstance(wanted, str) and run_id not in self._cancelled:
                self._cancelled[run_id] = wanted
                await self._processes[run_id].end()
            elif waited_s >= HEARTBEAT_S:
                waited_s = 0.0
                self._own[run_id] = run = self._live(self._own[run_id])
                try:
                    await self._write(run)
                except TransientError as error:
                    log.warning("dry-run %s: %s", run_id, error)

    def _live(self, run: Run) -> Run:
        """Return a run with the progress of now, where it is this process's."""
        process = self._processes.get(run.id)
        if process is None or run.status != RUNNING:
            return run
        now = self._config.clock()
        return msgspec.structs.replace(run, progress=process.progress, heartbeat_ms=now)

    async def _ended(self, run_id: str, beating: asyncio.Task[None], status: Status, **outcome: Any) -> None:
        beating.cancel()
        run = self._live(self._own[run_id])
        self._own[run_id] = ended = msgspec.structs.replace(
            run, status=status, ended_ms=self._config.clock(), **outcome
        )
        try:
            await self._write(ended)
        except TransientError as error:
            log.warning("dry-run %s is %s, which cannot be told: %s", run_id, status, error)

    async def _remove_outdated(self) -> None:
        rows: Mapping[str, Run | str] = {**self._table.snapshot(), **self._own}
        for key in outdated(rows, self._config.clock()):
            self._own.pop(key, None)
            await self._send(key, None)

    async def _write(self, run: Run) -> None:
        await self._send(run.id, msgspec.json.encode(run))

    async def _send(self, key: str, value: bytes | None) -> None:
        producer = await self._open()
        try:
            sending = producer.send_and_wait(TOPIC, value, key=key.encode())
            await bounded(sending, SEND_LIMIT_S, f"writing to {TOPIC}")
        except Exception as error:
            self._producer = None
            discard(producer)
            raise kafka_trouble(self._config, error) from error

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                topics = Topics(self._config)
                try:
                    await topics.require([TOPIC], by="dry-runs")
                finally:
                    await topics.close()
                producer = new_producer(self._config, None)
                try:
                    await bounded(producer.start(), SEND_LIMIT_S, "the connection to Kafka")
                    await bounded(self._table.ready(), SEND_LIMIT_S, f"reading {TOPIC}")
                except Exception as error:
                    discard(producer)
                    raise kafka_trouble(self._config, error) from error
                self._producer = producer
            return self._producer


def _may_be_new(run_id: str, now_ms: int) -> bool:
    """Return whether a run of this id can have begun so lately that its row is not here yet."""
    try:
        return now_ms - int(run_id[:12], 16) < VISIBLE_LIMIT_S * 1000
    except ValueError:
        return False
