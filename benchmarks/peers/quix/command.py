"""How the quix-streams worker is started, and how its changelog is named and read."""

from __future__ import annotations

from pathlib import Path

import orjson

from benchmarks.engines import Aggregate, Row
from benchmarks.trial import ROOT
from benchmarks.workers.aggregation import Aggregation
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


def repartitions(job: Job) -> list[str]:
    """Return the topic through which the events of each aggregation go to their group's partition."""
    return [f"repartition__{job.name}--{job.source}--{each.name}" for each in job.aggregations]


def changelogs(job: Job) -> list[str]:
    """Return the topic of the rows of each aggregation."""
    return [_changelog(job, each) for each in job.aggregations]


def _changelog(job: Job, aggregation: Aggregation) -> str:
    if aggregation.session is not None:
        kind, times = "session", [aggregation.session.gap_ms - 1]
    else:
        window = aggregation.window or job.windows
        hops = window.advance_ms != window.size_ms
        kind, times = (
            ("hopping", [window.size_ms, window.advance_ms]) if hops else ("tumbling", [window.size_ms])
        )
    store = f"{aggregation.name}_{kind}_window_{'_'.join(map(str, times))}_reduce"
    return f"changelog__{job.name}--repartition.{job.source}.{aggregation.name}--{store}"


def aggregate_row(job: Job, topic: str, key: bytes, value: bytes) -> Aggregate | None:
    """Read a row: a list, by ``<group>|<start>|<end>``; None for its own marks."""
    found = next(each for each in job.aggregations if topic == _changelog(job, each))
    row = orjson.loads(value)
    group, window = key[: -_WINDOW_BYTES - 1], key[-_WINDOW_BYTES:]
    if not isinstance(row, list) or not group:
        return None
    start_ms, end_ms = int.from_bytes(window[:_NUMBER_BYTES]), int.from_bytes(window[-_NUMBER_BYTES:])
    name = f"{group.decode()}/{start_ms}"
    if found.session is not None:
        name = f"{name}/{end_ms - 1 + found.session.gap_ms}"  # It ends a session just after its last event.
    return Aggregate(found.name, name, tuple(row))


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
