"""Rows of dry-runs: how they look, and which are forgotten."""

from __future__ import annotations

from typing import Any

import msgspec

from agents.router.dry_run.runs import (
    CANCEL,
    KEPT_MS,
    LOST_AFTER_S,
    MAX_KEPT,
    Run,
    new_id,
    outdated,
    parse_row,
    runs_in,
)

NOW_MS = 1_800_000_000_000


def run(number: int, **fields: Any) -> Run:
    """Return a run that began and ended so many milliseconds ago."""
    at = NOW_MS - number
    return Run(
        **{
            "id": f"{at:012x}{number:08x}",
            "status": "done",
            "owner": "worker",
            "by": "key:1",
            "request": {},
            "started_ms": at,
            "heartbeat_ms": at,
            "ended_ms": at,
            **fields,
        }
    )


def rows(*runs: Run) -> dict[str, Run | str]:
    """Return runs as rows."""
    return {each.id: each for each in runs}


def test_a_row_is_read_as_it_was_written() -> None:
    """A run, or who wants it cancelled."""
    one = run(5, report={"events": 3}, error="")
    assert parse_row(one.id, msgspec.json.encode(one)) == one
    assert parse_row(one.id + CANCEL, b'{"by": "key:2"}') == "key:2"


def test_a_run_that_says_nothing_any_more_is_lost() -> None:
    """Not before the limit, and never one that has ended."""
    limit_ms = int(LOST_AFTER_S * 1000)
    for silent_ms, status in ((limit_ms, "running"), (limit_ms + 1, "lost")):
        (found,) = runs_in(rows(run(silent_ms, status="running", ended_ms=None)), NOW_MS)
        assert found.status == status
    assert runs_in(rows(run(limit_ms + 1)), NOW_MS)[0].status == "done"


def test_the_newest_comes_first() -> None:
    """By the time in their ids."""
    found = runs_in(rows(run(30), run(10), run(20)), NOW_MS)
    assert [NOW_MS - each.started_ms for each in found] == [10, 20, 30]
    assert new_id(NOW_MS) < new_id(NOW_MS + 1)


def test_runs_are_kept_for_seven_days() -> None:
    """Then they go, with what was asked of them; what was asked of nothing goes too."""
    kept, old = run(KEPT_MS), run(KEPT_MS + 1)
    found = {**rows(kept, old), old.id + CANCEL: "x", kept.id + CANCEL: "x", "none" + CANCEL: "x"}
    assert outdated(found, NOW_MS) == sorted([old.id, old.id + CANCEL, "none" + CANCEL])


def test_only_the_newest_are_kept() -> None:
    """Beyond 200 that have ended the oldest go; one that runs is never removed."""
    running = run(MAX_KEPT + 50, status="running", ended_ms=None, heartbeat_ms=NOW_MS)
    found = rows(running, *(run(number) for number in range(MAX_KEPT + 2)))
    assert outdated(found, NOW_MS) == sorted(run(number).id for number in (MAX_KEPT, MAX_KEPT + 1))
