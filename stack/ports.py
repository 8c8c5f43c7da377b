"""Ports of the stack: a taken one is a single line that names it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from fleet.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a part listens on.

    Attributes:
        host: Address that is bound.
        number: TCP port.
        variable: The ``EVENTFLEET_*`` variable that changes it.
        purpose: What it is for, in a message.
    """

    host: str
    number: int
    variable: str
    purpose: str

    def __str__(self) -> str:
        return f"{self.host}:{self.number}"


def trouble(port: Port) -> str:
    """Return why nothing can listen on `port`, or an empty string where it is free."""
    try:
        socket.create_server((port.host, port.number)).close()
    except (OSError, OverflowError) as error:
        if port_open(port):
            return f"is taken{_holder(port)}"
        return f"cannot be used on {port.host} ({getattr(error, 'strerror', None) or error})"
    return ""


def port_open(port: Port) -> bool:
    """Tell whether something accepts connections on `port`."""
    try:
        socket.create_connection((port.host, port.number), timeout=1).close()
    except (OSError, OverflowError):
        return False
    return True


def require_free(ports: Iterable[Port]) -> None:
    """Check that each port can be bound.

    Raises:
        FatalError: One cannot; it names the port and the setting that changes it.
    """
    for port in ports:
        reason = trouble(port)
        if reason:
            raise FatalError(
                f"Port {port.number} ({port.purpose}) {reason}",
                hint=f"free it, or set {port.variable} to another port",
            )


def require_distinct(ports: Iterable[Port]) -> None:
    """Check that no two parts were given the same port.

    Raises:
        FatalError: Two were; it names both settings.
    """
    seen: dict[int, Port] = {}
    for port in ports:
        other = seen.setdefault(port.number, port)
        if other is not port:
            raise FatalError(
                f"{other.variable} and {port.variable} are both {port.number}",
                hint="set one of them to another port",
            )


def _holder(port: Port) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listening = connection.status == psutil.CONN_LISTEN and connection.laddr
            if listening and listening.port == port.number and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        return ""  # another user's process: the message goes without its name
    return ""
