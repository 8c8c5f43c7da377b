"""The workers and the gateway as child processes of the run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from fleet.errors import FatalError
from fleet.settings import Settings
from stack.ports import Port, require_distinct, require_free
from stack.process import Identity, spawn, telling_line, terminate

READY_LIMIT_S = 90.0
POLL_S = 0.2
STOP_GRACE_S = 10.0
HTTP_TIMEOUT_S = 15.0


class Fleet:
    """Three workers and a gateway; leaving the block stops them all.

    Args:
        config: Settings of the processes.
        say: Prints a line of progress.
    """

    def __init__(self, config: Settings, *, say: Callable[[str], Any]) -> None:
        self._config = config
        self._say = say
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self.modules = {
            "normalizer": ("agents.normalizer", "normalizer_port"),
            "router": ("agents.router", "router_port"),
            "aggregator": ("agents.aggregator", "aggregator_port"),
            "gateway": ("gateway", "gateway_port"),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started.values():
            if process.poll() is None:
                process.terminate()
        for process in self._started.values():
            identity = Identity.of(process.pid) if process.poll() is None else None
            if identity is not None:
                terminate(identity, grace_s=STOP_GRACE_S)
            process.wait()

    def require_ports(self) -> None:
        """Check the ports of all parts, before anything is started.

        Raises:
            FatalError: One is taken, or given to two parts; names it and the setting.
        """
        ports = [self._port(name, setting) for name, (_, setting) in self.modules.items()]
        require_distinct(ports)
        require_free(ports)

    def start(self) -> None:
        """Start every part and wait until each says that it is ready.

        Raises:
            FatalError: A port is taken, a part ended, or is not ready in time.
        """
        for name, (module, setting) in self.modules.items():
            require_free([self._port(name, setting)])
            self._started[name] = spawn(
                [sys.executable, "-m", module],
                folder=Path.cwd(),
                log=self.log(name),
                dies_with_parent=True,
            )
        for name in self.modules:
            self._until_ready(name)

    def url(self, name: str) -> str:
        """Return the base URL of a part."""
        return f"http://{self._config.host}:{getattr(self._config, self.modules[name][1])}"

    def log(self, name: str) -> Path:
        """Return the log file of a part."""
        return self._config.data_dir.absolute() / "logs" / f"{name}.log"

    def get(self, name: str, path: str, *, token: str = "") -> Any:
        """Return the JSON of a view, asking again while the part says 503.

        Args:
            name: Name of the part.
            path: Path and query.
            token: A key to the API, for paths that need one.

        Raises:
            FatalError: No answer in time, or not the one wanted.
        """
        until = time.monotonic() + HTTP_TIMEOUT_S
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        while True:
            try:
                answer = httpx.get(self.url(name) + path, headers=headers, timeout=HTTP_TIMEOUT_S)
            except httpx.HTTPError as error:
                last = type(error).__name__
            else:
                if answer.status_code == httpx.codes.OK:
                    return answer.json()
                last = f"HTTP {answer.status_code}"
            self.require_alive()
            if time.monotonic() > until:
                raise FatalError(f"{name} does not answer {path} ({last})", hint=f"see {self.log(name)}")
            time.sleep(POLL_S)

    def require_alive(self) -> None:
        """Check that no part has ended.

        Raises:
            FatalError: One has; says which, and its last word.
        """
        for name, process in self._started.items():
            if process.poll() is not None:
                last = telling_line(self.log(name))
                raise FatalError(
                    f"the {name} ended ({process.returncode}): {last}", hint=f"see {self.log(name)}"
                )

    def _until_ready(self, name: str) -> None:
        started = time.monotonic()
        while True:
            self.require_alive()
            try:
                answer = httpx.get(self.url(name) + "/health/ready", timeout=5.0)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == httpx.codes.OK:
                self._say(f"{name} ready on {self.url(name)} ({time.monotonic() - started:.1f} s)")
                return
            if time.monotonic() - started > READY_LIMIT_S:
                reasons = "no answer" if answer is None else answer.text[:200]
                raise FatalError(f"the {name} is not ready: {reasons}", hint=f"see {self.log(name)}")
            time.sleep(POLL_S)

    def _port(self, name: str, setting: str) -> Port:
        number = getattr(self._config, setting)
        return Port(self._config.host, number, f"EVENTFLEET_{setting.upper()}", name)
