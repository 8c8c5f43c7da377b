"""A real embedded stack for the tests: on free ports, gone when the tests end, however they end."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from fleet.settings import Settings, settings
from stack.embedded import EmbeddedStack
from stack.paths import StackPaths

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def parts_dir() -> Path:
    """Return the downloads that tests and `make run` share."""
    data_dir = ROOT / settings().data_dir
    return StackPaths.of(settings().model_copy(update={"data_dir": data_dir})).parts


def free_ports(count: int) -> list[int]:
    """Return distinct ports that nothing listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(listener.getsockname()[1]) for listener in sockets]


def isolated_settings(data_dir: Path) -> Settings:
    """Return settings on free ports with all data under `data_dir`."""
    names = ("kafka_port", "kafka_controller_port", "registry_port", "registry_management_port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    own = {"data_dir": data_dir, "bootstrap_servers": None, "registry_url": None}
    return settings().model_copy(update={**ports, **own})


@contextmanager
def running_stack(data_dir: Path) -> Iterator[Settings]:
    """Give the settings of a stack that is up.

    With ``EVENTFLEET_TEST_REUSE=1`` the one of `eventfleet stack up` is used where it is up;
    else one is started with its data under `data_dir` and stopped at the end.
    """
    default = settings().model_copy(update={"data_dir": ROOT / settings().data_dir})
    if os.environ.get("EVENTFLEET_TEST_REUSE") == "1" and is_up(default):
        yield default
        return
    own = isolated_settings(data_dir)
    with EmbeddedStack(own, parts_dir=parts_dir()):
        yield own


def is_up(candidate: Settings) -> bool:
    """Tell whether the stack of these settings is ready for work."""
    return all(part.state == "up" for part in EmbeddedStack(candidate).status())


def environment(of: Settings) -> dict[str, str]:
    """Return the environment in which a child process gets these settings."""
    values = of.model_dump(mode="json", exclude_none=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENTFLEET_")}
    return {**kept, **{f"EVENTFLEET_{name.upper()}": str(value) for name, value in values.items()}}


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the live processes whose working folder lies under `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = folder in Path(process.cwd()).parents
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
