"""The process of a dry-run, as whoever asked sees it."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from agents.router.dry_run.job import Message, Progress

if TYPE_CHECKING:
    from agents.router.dry_run.job import Document, Job
    from fleet.settings import Settings

MAX_LINE_BYTES: Final = 64 << 20
END_LIMIT_S: Final = 5.0


class FailedError(Exception):
    """A dry-run ended without a report; says why."""


class Process:
    """Runs one job in a process of its own.

    Args:
        settings: How it reaches Kafka and the registry.
        job: The job.

    Attributes:
        progress: How far it is.
    """

    def __init__(self, settings: Settings, job: Job) -> None:
        self.progress = Progress()
        self._settings = settings
        self._job = job
        self._process: asyncio.subprocess.Process | None = None
        self._is_wanted = True

    async def run(self) -> Document:
        """Return the report of the job.

        Raises:
            FailedError: There is none.
        """
        where = {
            "EVENTFLEET_BOOTSTRAP_SERVERS": self._settings.kafka,
            "EVENTFLEET_REGISTRY_URL": self._settings.registry,
        }
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "agents.router.dry_run",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **where},
            limit=MAX_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is for whoever asked to act on.
        )
        try:
            if not self._is_wanted:
                raise FailedError("it was ended before it began")
            return await self._talk(process)
        finally:
            await self.end()

    async def _talk(self, process: asyncio.subprocess.Process) -> Document:
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - both are pipes
        # It stays open: its end is what tells the process that nobody waits for it any more.
        process.stdin.write(msgspec.json.encode(self._job) + b"\n")
        with suppress(ConnectionError):
            await process.stdin.drain()
        async for line in process.stdout:
            message = msgspec.json.decode(line, type=Message)
            if message.progress is not None:
                self.progress = message.progress
            elif message.report is not None:
                return message.report
            else:
                raise FailedError(message.failed)
        raise FailedError(f"its process ended with code {await process.wait()}: see the log")

    async def end(self) -> None:
        """End the process, the hard way after a while."""
        self._is_wanted = False
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        ended = asyncio.ensure_future(process.wait())
        done, _ = await asyncio.wait({ended}, timeout=END_LIMIT_S)
        if not done:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait({ended}, timeout=END_LIMIT_S)
