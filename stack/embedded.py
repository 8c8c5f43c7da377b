"""The embedded stack as a whole: a real broker and a real schema registry on this machine."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from stack.broker import broker_service
from stack.fetch import PARTS, fetch
from stack.paths import StackPaths, locked
from stack.ports import require_distinct
from stack.process import signals_held, sigterm_interrupts
from stack.registry import registry_service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from fleet.settings import Settings
    from stack.service import Service


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What one part of the stack is doing.

    Attributes:
        title: Name and version.
        state: ``up`` (ready for work), ``starting`` (or stuck) or ``down``.
        endpoint: ``host:port`` for users.
        pid: Process id, or None.
        log: Where its output is.
    """

    title: str
    state: str
    endpoint: str
    pid: int | None
    log: Path


class EmbeddedStack:
    """Kafka and the schema registry, started on the ports and in the folder of the settings.

    As a context manager it stops on exit what it started, and leaves what was up before::

        with EmbeddedStack(settings()):
            ...

    What it started then dies with this process, even if that is killed; so enter it in the
    main thread. Ctrl-C and SIGTERM unwind the block as `KeyboardInterrupt`. `up` on its own
    starts parts that outlive the process. Both wait for readiness and block: call them
    outside a running event loop.

    Args:
        settings: Host, ports and data folder.
        parts_dir: Where the downloads are, if not under the data folder.
        say: Gets progress lines for people.
    """

    def __init__(
        self, settings: Settings, *, parts_dir: Path | None = None, say: Callable[[str], None] = typer.echo
    ) -> None:
        self.paths = StackPaths.of(settings, parts_dir)
        self.services: tuple[Service, ...] = (
            broker_service(settings, self.paths),
            registry_service(settings, self.paths),
        )
        self._say = say
        self._started: list[Service] = []
        self._signals = ExitStack()

    def up(self) -> None:
        """Bring up what is not up, fetching it first if need be; what it starts keeps running.

        Interrupted or failed, it stops again what it started.

        Raises:
            FatalError: A download, a port or a start failed.
        """
        self._up(owned=False)

    def down(self) -> list[str]:
        """Stop the whole stack, whoever started it; returns the titles of what was up."""
        with locked(self.paths.root, self._say):
            return self._stop_all()

    def wipe(self) -> None:
        """Stop the stack and remove its data and logs; downloads stay."""
        with locked(self.paths.root, self._say):
            self._stop_all()
            for folder in self.paths.wipeable:
                shutil.rmtree(folder, ignore_errors=True)

    def status(self) -> list[ServiceStatus]:
        """Return what each part is doing now."""
        return [_status(service) for service in self.services]

    def __enter__(self) -> Self:
        self._signals.enter_context(sigterm_interrupts())
        try:
            self._up(owned=True)
        except BaseException:
            self._signals.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._stop_started()
        finally:
            self._signals.close()

    def _up(self, *, owned: bool) -> None:
        require_distinct(port for service in self.services for port in service.ports)
        with sigterm_interrupts(), locked(self.paths.root, self._say):
            for service in self.services:
                service.check_startable()
            for part in PARTS:
                fetch(part, self.paths.parts, self._say)
            # Noted before they start: an interruption at any moment finds them here.
            self._started += [service for service in self.services if service.identity is None]
            try:
                for service in self.services:
                    service.up(owned=owned, say=self._say)
            except BaseException:
                self._stop_started()
                raise

    def _stop_all(self) -> list[str]:
        self._started.clear()
        return [service.title for service in reversed(self.services) if service.stop()]

    def _stop_started(self) -> None:
        with signals_held():
            while self._started:
                self._started.pop().stop()


def _status(service: Service) -> ServiceStatus:
    running = service.identity
    state = "down" if running is None else "up" if service.is_ready() else "starting"
    return ServiceStatus(
        title=service.title,
        state=state,
        endpoint=service.endpoint,
        pid=running.pid if running else None,
        log=service.log,
    )
