"""Errors as people meet them: one line on stderr that says what to do, and an exit code."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaConnectionError
from pydantic import ValidationError

from fleet.errors import EventfleetError
from fleet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended (128 + SIGINT)."""


@contextmanager
def for_people() -> Iterator[None]:
    """End the process with one line in place of a traceback, where the error is one people can mend.

    A context manager, and a decorator. Bugs keep their traceback.

    Raises:
        SystemExit: With 1 after an `EventfleetError`, a bad ``EVENTFLEET_*`` value or a Kafka that
            cannot be reached; with 130 after Ctrl-C.
    """
    try:
        yield
    except EventfleetError as error:
        _end(str(error))
    except KafkaConnectionError as error:
        hint = "see `eventfleet stack status`, or set EVENTFLEET_BOOTSTRAP_SERVERS"
        _end(f"Kafka does not answer ({error}): {hint}")
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        _end(_bad_setting(error))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _end(line: str) -> None:
    print(f"eventfleet: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201 - the one line
    raise SystemExit(1) from None


def _bad_setting(error: ValidationError) -> str:
    first = error.errors()[0]
    name = "_".join(str(part) for part in first["loc"])
    return f"EVENTFLEET_{name.upper()}={first['input']}: {first['msg']}"
