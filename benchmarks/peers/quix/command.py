"""How the quix-streams worker is started, and how its changelog is named and read."""

from __future__ import annotations

from pathlib import Path

import orjson

from benchmarks.engines import Row
from benchmarks.trial import ROOT
from benchmarks.workers.job import HOPPING, TABLE, WINDOWS, Job
from fleet.errors import FatalError

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
_SEPARATOR = b"|"
_NUMBER_BYTES = 8
_WINDOW_BYTES = 2 * _NUMBER_BYTES + len(_SEPARATOR)


def command(job: Path) -> list[str]:
    """Return the command that runs the worker with the job in this file.

    Raises:
        FatalError: Its environment is not there.
    """
    if not PYTHON.is_file():
        raise FatalError(
            "quix-streams is not installed: .venv-bench is missing", hint="run `make bench-setup`"
        )
    # The library it speaks to its own service with warns at each start that it will move.
    return [str(PYTHON), "-W", "ignore", "-m", "benchmarks.peers.quix.worker", str(job)]


def changelog(job: Job) -> str:
    """Return the topic of its table's rows."""
    return f"changelog__{job.name}--{job.source}--{_store(job)}"


def _store(job: Job) -> str:
    if job.case not in WINDOWS:
        return "default"
    sizes = [job.windows.size_ms, job.windows.advance_ms] if job.case == HOPPING else [job.windows.size_ms]
    return f"{TABLE}_{job.case}_window_{'_'.join(map(str, sizes))}_reduce"


def json_row(case: str, key: bytes, value: bytes) -> Row | None:
    """Read a row: a list, by ``<member>|"row"`` or ``<member>|<start>|<end>``; None for its own marks."""
    row = orjson.loads(value)
    if not isinstance(row, list):
        return None
    member, _, rest = key.partition(_SEPARATOR)
    name = member.decode()
    count, cents = row
    if case not in WINDOWS:
        return name, (count, cents)
    if len(rest) != _WINDOW_BYTES:
        return None
    return f"{name}/{int.from_bytes(rest[:_NUMBER_BYTES])}", (count, cents)
