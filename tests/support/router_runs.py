"""Dry-runs in a test's own process, and what they decided of each event."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from agents.router.dry_run.findings import Findings
from agents.router.dry_run.job import Job, Progress
from agents.router.dry_run.plan import parse_request, plan
from agents.router.dry_run.service import DryRuns
from agents.router.dry_run.work import work
from tables.routes.rule import Rule, parse_rule
from tests.support.lane_processes import Worker
from tests.support.polling import until
from tests.support.stack import ROOT, environment, free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from pathlib import Path

    from agents.router.dry_run.outcome import Outcome
    from agents.router.dry_run.runs import Run
    from fleet.lane import Record
    from fleet.settings import Settings

SOURCES = ("canonical.claim",)
LIMIT_S = 90.0

Coordinates = tuple[int, int]
Decided = dict[Coordinates, Mapping[str, str]]


def rule(name: str, condition: str = "true", **fields: Any) -> Rule:
    """Return an active rule on claims."""
    plain = {"name": name, "version": 1, "owner": "team", "source": "canonical.claim", "state": "active"}
    return parse_rule({**plain, "targets": [f"team.{name}"], "condition": condition, **fields})


def planned(stored: Iterable[Rule], /, **request: Any) -> Job:
    """Return the job of a request, as HTTP has it."""
    return plan(parse_request(request), {each.name: each for each in stored}, 7, SOURCES)


async def report_of(settings: Settings, job: Job) -> dict[str, Any]:
    """Return the report of a job that is done here."""
    told: list[Progress] = []
    report = await work(settings, job, told.append)
    assert told[-1].done == told[-1].total
    return report


@contextmanager
def noted() -> Iterator[tuple[Decided, Decided]]:
    """Note what each event's copies are before and after: rule by topic, by partition and offset."""
    before: Decided = {}
    after: Decided = {}
    add = Findings.add

    def noting(findings: Findings, old: Outcome, new: Outcome, records: Sequence[Record]) -> None:
        for record in records:
            before[record.partition, record.offset] = old.copies
            after[record.partition, record.offset] = new.copies
        add(findings, old, new, records)

    with patch.object(Findings, "add", noting):
        yield before, after


@asynccontextmanager
async def open_runs(settings: Settings, owner: str) -> AsyncIterator[DryRuns]:
    """Open the dry-runs as one more process sees them."""
    runs = DryRuns(settings, owner)
    try:
        yield runs
    finally:
        await runs.stop()


async def ended(runs: DryRuns, run_id: str) -> Run:
    """Wait for the end of a run."""

    async def found() -> Run | None:
        run = await runs.get(run_id)
        return None if run.status == "running" else run

    run = await until(found, LIMIT_S, f"the end of {run_id}")
    assert run is not None
    return run


@contextmanager
def router_worker(settings: Settings, folder: Path, port: int | None = None) -> Iterator[Worker]:
    """Run a router worker for a while."""
    port = free_ports(1)[0] if port is None else port
    own = settings.model_copy(update={"router_port": port, "data_dir": folder / "data"})
    log = folder / f"router-{port}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "agents.router", "worker"],
            cwd=ROOT,
            env=environment(own) | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    worker = Worker(port, log, process)
    try:
        yield worker
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            worker.kill()
