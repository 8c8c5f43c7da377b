"""Gateways as processes of their own, to be raced and killed; none outlives its test."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from fleet.settings import Settings
from tests.support.polling import until
from tests.support.stack import ROOT, environment, free_ports

START_LIMIT_S = 60.0
ASK_LIMIT_S = 60.0


@dataclass
class Gateway:
    """One gateway process, asked with one key.

    Attributes:
        url: Where its API is.
        process: The process.
        token: The key.
    """

    url: str
    process: subprocess.Popen[bytes]
    token: str

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Return status and JSON of an answer; status 0 where there is none."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        timeout = aiohttp.ClientTimeout(total=ASK_LIMIT_S)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
                session.request(method, self.url + path, **options) as answer,
            ):
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError):
            return 0, None

    async def ready(self) -> None:
        """Wait until it answers."""

        async def answers() -> bool:
            return (await self.ask("GET", "/routes"))[0] == 200

        await until(answers, START_LIMIT_S, f"an answer of {self.url}")

    def kill(self) -> None:
        """Kill it outright, as a crash of the machine would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass
class Gateways:
    """Starts gateways on one stack.

    Attributes:
        settings: Their settings but for the port.
        folder: Where their logs go.
        token: The key that they are asked with.
    """

    settings: Settings
    folder: Path
    token: str
    _started: list[Gateway] = field(default_factory=list)

    async def start(self, count: int) -> list[Gateway]:
        """Start `count` gateways and wait until all answer."""
        started = [self._start(port) for port in free_ports(count)]
        for each in started:
            await each.ready()
        return started

    def _start(self, port: int) -> Gateway:
        own = self.settings.model_copy(update={"gateway_port": port})
        with (self.folder / f"gateway-{port}.log").open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway"],
                cwd=ROOT,
                env=environment(own) | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        gateway = Gateway(f"http://{own.host}:{port}/v1", process, self.token)
        self._started.append(gateway)
        return gateway

    def end(self) -> None:
        """Kill those that are still there."""
        for each in self._started:
            each.kill()


@contextmanager
def gateways(settings: Settings, folder: Path, token: str) -> Iterator[Gateways]:
    """Start gateways in the block; none is left after it."""
    made = Gateways(settings, folder, token)
    try:
        yield made
    finally:
        made.end()
