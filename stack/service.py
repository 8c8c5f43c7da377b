"""One part of the stack as a running service: start, readiness, reuse, stop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.errors import FatalError
from stack.ports import Port, require_free
from stack.process import Identity, PidFile, signals_held, spawn, telling_line, terminate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A part that runs as a process of its own.

    Attributes:
        title: What people call it, with its version.
        ports: What it listens on, the one that users connect to first.
        folder: Working folder, made when it starts.
        pid_file: Where it is remembered while it runs.
        log: Its output.
        prepare: Makes ready what it needs; called before each start.
        command: Gives program and arguments.
        is_ready: Tells whether it does its work, not only listens.
        ready_within_s: How long a start may take.
        grace_s: How long it may take to end by itself when asked to.
    """

    title: str
    ports: Sequence[Port]
    folder: Path
    pid_file: PidFile
    log: Path
    prepare: Callable[[], None]
    command: Callable[[], Sequence[str]]
    is_ready: Callable[[], bool]
    ready_within_s: float = 120.0
    grace_s: float = 15.0

    @property
    def endpoint(self) -> str:
        """Where users connect, ``host:port``."""
        return str(self.ports[0])

    @property
    def identity(self) -> Identity | None:
        """The running process, whichever command started it."""
        found = self.pid_file.read()
        return found[0] if found else None

    def check_startable(self) -> None:
        """Check the ports: free, or held by this very part on the ports that are asked for.

        Raises:
            FatalError: A port is taken, or the part is up on other ports.
        """
        found = self.pid_file.read()
        if found is None:
            require_free(self.ports)
            return
        asked = [port.number for port in self.ports]
        if found[1] != asked:
            raise FatalError(
                f"{self.title} is up on ports {found[1]}, not on {asked}",
                hint="run `eventfleet stack down` first, or unset the port settings",
            )

    def up(self, *, owned: bool, say: Callable[[str], None]) -> None:
        """Make it ready: reuse it where it is up, else start it.

        Args:
            owned: Kill it when this process ends, however it ends.
            say: Gets progress lines.

        Raises:
            FatalError: It did not become ready; then `stop` ends what is left of it.
        """
        running = self.identity
        if running is not None:
            self._await_ready(running)
            say(f"{self.title} already up on {self.endpoint}")
            return
        started = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self._await_ready(self._start(owned=owned))
        say(f"{self.title} ready on {self.endpoint} ({time.monotonic() - started:.1f} s)")

    def stop(self) -> bool:
        """End it and wait until it is gone; returns whether it was running."""
        with signals_held():
            running = self.identity
            if running is not None:
                terminate(running, grace_s=self.grace_s)
            self.pid_file.remove()
        return running is not None

    def _start(self, *, owned: bool) -> Identity:
        with signals_held():
            child = spawn(self.command(), folder=self.folder, log=self.log, dies_with_parent=owned)
            identity = Identity.of(child.pid)
            if identity is None:
                raise self._ended()
            self.pid_file.write(identity, [port.number for port in self.ports])
        return identity

    def _await_ready(self, identity: Identity) -> None:
        deadline = time.monotonic() + self.ready_within_s
        while not self.is_ready():
            if not identity.alive:
                raise self._ended()
            if time.monotonic() > deadline:
                raise FatalError(
                    f"{self.title} (process {identity.pid}) was not ready in {self.ready_within_s:.0f} s",
                    hint=f"see {self.log}, then run `eventfleet stack down`",
                )
            time.sleep(_POLL_S)

    def _ended(self) -> FatalError:
        hint = f"see {self.log}; if its data is damaged run `eventfleet stack down --wipe`"
        return FatalError(f"{self.title} ended while starting: {telling_line(self.log)}", hint=hint)
