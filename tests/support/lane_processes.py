"""Lane workers as processes of their own, to be asked, stopped and killed; none outlives its test."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.polling import until
from tests.support.stack import ROOT, environment, free_ports

if TYPE_CHECKING:
    from fleet.settings import Settings

START_LIMIT_S = 90.0
ASK_LIMIT_S = 5.0


@dataclass
class Worker:
    """One worker process.

    Attributes:
        port: Its web port.
        log: File with all it wrote.
        process: The process, leader of its own group.
    """

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    async def ask(self, path: str) -> tuple[int, Any]:
        """Return status and JSON of a GET; status 0 where nobody answers."""
        timeout = aiohttp.ClientTimeout(total=ASK_LIMIT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as response,
            ):
                body = await response.json() if response.content_type == "application/json" else None
                return response.status, body
        except (aiohttp.ClientError, TimeoutError):
            return 0, None

    async def is_ready(self) -> bool:
        """Tell whether the worker says it is ready."""
        assert self.process.poll() is None, f"the worker ended: {self.said()[-2000:]}"
        return (await self.ask("/health/ready"))[0] == 200

    async def ready(self) -> None:
        """Wait until the worker says it is ready."""
        await until(self.is_ready, START_LIMIT_S, f"ready ({self.log.name})")

    async def tasks(self) -> list[dict[str, Any]]:
        """Return the worker's tasks, as its web view shows them."""
        status, body = await self.ask("/lane")
        return list(body["tasks"]) if status == 200 else []

    async def standbys(self) -> list[dict[str, Any]]:
        """Return the worker's copies of others' table partitions, as its web view shows them."""
        status, body = await self.ask("/lane")
        return list(body["standbys"]) if status == 200 else []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker and all its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill the worker outright, as a crash of the machine would."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    async def ended(self, limit_s: float) -> int:
        """Wait for the process to end; return its exit code."""

        async def gone() -> bool:
            return self.process.poll() is not None

        await until(gone, limit_s, f"the end of the worker ({self.log.name})")
        return int(self.process.returncode)

    def said(self) -> str:
        """Return all that the worker has written so far."""
        return self.log.read_text(errors="replace")


@dataclass
class Workers:
    """Starts workers of one app, and ends them all.

    Attributes:
        settings: Settings that the workers run with.
        folder: Where their logs and data go.
        app_id: Their app.
        source: Their source topic.
        environment: Further variables of the workers.
        module: The program they run.
    """

    settings: Settings
    folder: Path
    app_id: str
    source: str
    environment: dict[str, str] = field(default_factory=dict)
    module: str = "tests.support.lane_worker"
    started: list[Worker] = field(default_factory=list)

    def start(self, port: int | None = None) -> Worker:
        """Start one more worker; on the port of one that is gone it finds what that has left on disk."""
        if port is None:
            (port,) = free_ports(1)
        log = self.folder / f"worker-{len(self.started) + 1}.log"
        own = self.settings.model_copy(update={"data_dir": self.folder / "data"})
        command = [sys.executable, "-m", self.module, self.app_id, str(port), self.source]
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(own) | {"PYTHONUNBUFFERED": "1"} | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(port, log, process)
        self.started.append(worker)
        return worker

    async def all_ready(self, count: int) -> list[Worker]:
        """Start `count` workers and wait until all are ready."""
        workers = [self.start() for _ in range(count)]
        await asyncio.gather(*(worker.ready() for worker in workers))
        return workers

    def end(self) -> None:
        """Kill what is still there, whole process groups, stopped ones too."""
        for worker in self.started:
            worker.kill()
