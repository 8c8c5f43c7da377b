"""How commands talk to people: errors in one line, tables that survive a pipe, no control characters."""

from __future__ import annotations

import getpass
import logging
import os
import sys
from datetime import UTC, datetime

from rich.console import Console

from fleet.people import for_people
from tables.access import Actor, Role

__all__ = ["cli_actor", "for_people", "instant", "new_console", "printable", "quiet_clients"]

PIPED_COLUMNS = 240


def new_console() -> Console:
    """Return a console on stdout; into a pipe it writes wide lines, so that rows stay whole for grep."""
    return Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS, highlight=False, markup=False)


def quiet_clients() -> None:
    """Keep the Kafka client's log lines out of a command's output: its errors say it better."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def cli_actor() -> Actor:
    """Return who acts by the command line: whoever reaches Kafka with it is trusted as an admin."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user may have no name.
        user = str(os.getuid())
    return Actor(id=f"cli:{user}", team="platform", roles=(Role.ADMIN,))


def printable(text: str) -> str:
    r"""Return `text` with control characters as escapes (``\x1b``), since a publisher chose it."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def instant(epoch_ms: int) -> str:
    """Return epoch milliseconds as people read them, in UTC to the second."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
