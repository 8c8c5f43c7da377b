"""The broker of the fault tests: a real one that can be killed, stopped for a while, and started again."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from stack.broker import broker_service
from stack.fetch import KAFKA, fetch
from stack.paths import StackPaths
from tests.support.stack import parts_dir

if TYPE_CHECKING:
    from typing import Self

    from fleet.settings import Settings
    from stack.service import Service

KILLED_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker process after the other, on the same ports and the same data.

    As a context manager it is up within the block and gone after it, however that ends.
    """

    service: Service

    @classmethod
    def of(cls, settings: Settings, *, parts: Path | None = None) -> Broker:
        """Return the broker of these settings, not started."""
        paths = StackPaths.of(settings, parts or parts_dir())
        fetch(KAFKA, paths.parts, print)
        return cls(broker_service(settings, paths))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        self.service.stop()

    def start(self) -> None:
        """Start it where it is down and wait until it does its work; blocks the caller."""
        self.service.up(owned=True, say=print)

    async def started_again(self) -> None:
        """Start it after a kill and wait until it does its work."""
        self.service.prepare()
        # In this thread, whose end ends the broker too.
        self.service._start(owned=True)
        await asyncio.to_thread(self.service.up, owned=True, say=print)

    def kill(self) -> None:
        """Kill it outright."""
        if (running := self.service.identity) is not None:
            process = psutil.Process(running.pid)
            process.kill()
            process.wait(KILLED_WITHIN_S)

    def pause(self) -> None:
        """Stop its clock, so to speak: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if (running := self.service.identity) is not None:
            os.kill(running.pid, number)
