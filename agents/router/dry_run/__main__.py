"""``python -m agents.router.dry_run``: one dry-run, in a process of its own that writes nothing to Kafka.

The job is a line of JSON on stdin, `Message` lines come on stdout. It ends at once where stdin does,
for then whoever asked is gone, and at SIGTERM.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec
import uvloop

from agents.router.dry_run.job import Job, Message
from agents.router.dry_run.work import work
from fleet.errors import EventfleetError
from fleet.settings import settings

NICE = 10
"""How far a dry-run stands back for the worker beside it."""

GONE = 3
"""Exit code where whoever asked is gone."""


def main() -> None:
    """Do the job on stdin."""
    os.nice(NICE)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        report = uvloop.run(work(settings(), job, lambda progress: _tell(Message(progress=progress))))
    except EventfleetError as error:
        _tell(Message(failed=str(error)))
    else:
        _tell(Message(report=report))


def _tell(message: Message) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_stdin() -> None:
    # Past Python's reader of it, whose lock would be held at the end.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(GONE)


if __name__ == "__main__":
    main()
