"""A results file that grows case by case, in one sitting or several on one machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import report
from benchmarks.engines import ALL_CASES, LATENCY, RECOVERY
from benchmarks.figures import Growth, Kept, Latency, Recovery
from benchmarks.goals import goals, of_state
from benchmarks.report import Report, Sitting
from benchmarks.runs import Row, ratios_of
from benchmarks.trial import ROOT
from benchmarks.workers.job import QUERY
from fleet.errors import FatalError

UNKNOWN_COMMIT = "unknown"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one case; of its kind alone there are any."""

    rows: Sequence[Row] = ()
    recovery: Sequence[Recovery] = ()
    latency: Sequence[Latency] = ()
    growth: Sequence[Growth] = ()
    state: Sequence[Kept] = ()


def begun(command: str, cases: Sequence[str], path: Path, *, merge: bool) -> Report:
    """Return the report to begin with: nothing measured yet, or what the file at `path` has.

    Args:
        command: What is run.
        cases: The cases that it is to measure.
        path: The results file.
        merge: Whether to go on from that file, if it is there.

    Raises:
        FatalError: The file cannot be read, or its figures are not comparable with those of this machine.
    """
    fresh = Report(
        machine=report.machine(),
        versions=report.versions(),
        date=report.now(),
        command=command,
        unfinished=list(cases),
    )
    if not merge or not path.is_file():
        return fresh
    before = _read(path)
    for what, theirs, ours in (
        ("another machine", before.machine, fresh.machine),
        ("other versions", before.versions, fresh.versions),
    ):
        if theirs != ours:
            raise FatalError(f"{path} was measured with {what}", hint="leave out --merge, or change --output")
    return msgspec.structs.replace(before, date=fresh.date, command=command, unfinished=list(cases))


def _read(path: Path) -> Report:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except msgspec.DecodeError as error:
        raise FatalError(
            f"{path} is no results file ({error})", hint="leave out --merge to replace it"
        ) from None


def with_case(before: Report, case: str, found: Found, sitting: Sitting) -> Report:
    """Return `before` with the figures of `case` in place of those that it had of it."""
    rows = [row for row in before.rows if row.case != case] + list(found.rows)
    rows.sort(key=lambda row: _place(row.case))
    recovery = list(found.recovery) if case == RECOVERY else before.recovery
    latency = list(found.latency) if case in {LATENCY, QUERY} else before.latency
    growth = list(found.growth) or before.growth
    state = list(found.state) or before.state
    return msgspec.structs.replace(
        before,
        date=sitting.date,
        rows=rows,
        ratios=ratios_of(rows),
        recovery=recovery,
        latency=latency,
        growth=growth,
        state=state,
        goals=[*goals(rows, recovery, latency, growth), *of_state(state)],
        sittings=dict(sorted({**before.sittings, case: sitting}.items(), key=lambda each: _place(each[0]))),
        unfinished=[name for name in before.unfinished if name != case],
    )


def _place(case: str) -> int:
    return ALL_CASES.index(case) if case in ALL_CASES else len(ALL_CASES)


def commit() -> str:
    """Return the commit of the source tree, with ``-dirty`` where files of it were changed since.

    The results themselves do not count: a sitting changes them.
    """
    tree = ["git", "-C", str(ROOT)]
    try:
        head = _said([*tree, "rev-parse", "--short=12", "HEAD"])
        results = f":!{report.RESULTS.relative_to(ROOT)}"
        changed = _said([*tree, "status", "--porcelain", "--untracked-files=no", "--", ".", results])
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN_COMMIT
    return f"{head}-dirty" if changed else head


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
