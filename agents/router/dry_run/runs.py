"""Dry-runs as all workers and gateways see them: a row for each in a compacted topic."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import orjson

from agents.router.dry_run.job import Document, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TOPIC: Final = "fleet.router.dry-runs"
HEARTBEAT_S: Final = 2.0
LOST_AFTER_S: Final = 15.0
KEPT_MS: Final = 7 * 24 * 3_600_000
MAX_KEPT: Final = 200
CANCEL: Final = "/cancel"

RUNNING: Final = "running"
LOST: Final = "lost"

Status = Literal["running", "done", "failed", "cancelled", "lost"]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One dry-run.

    Attributes:
        id: Its id; ids sort by the time of their start.
        status: How it stands; ``lost`` is only ever shown, for one whose owner says nothing any more.
        owner: The process that runs it.
        by: Who asked for it.
        request: What was asked.
        started_ms: When it began, epoch milliseconds.
        heartbeat_ms: When its owner last said that it runs.
        ended_ms: When it ended.
        progress: How far it is.
        report: What it found.
        error: Why there is no report.
    """

    id: str
    status: Status
    owner: str
    by: str
    request: Document
    started_ms: int
    heartbeat_ms: int
    ended_ms: int | None = None
    progress: Progress = Progress()
    report: Document | None = None
    error: str = ""

    def shown(self, now_ms: int) -> Run:
        """Return it as it looks now."""
        if self.status == RUNNING and now_ms - self.heartbeat_ms > LOST_AFTER_S * 1000:
            error = (
                f"{self.owner} has said nothing for {(now_ms - self.heartbeat_ms) // 1000} s: run it again"
            )
            return msgspec.structs.replace(self, status=LOST, error=error)
        return self

    def summary(self) -> dict[str, Any]:
        """Return it as JSON values, without its report."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        del found["report"]
        return found


def new_id(now_ms: int) -> str:
    """Return the id of a run that begins now."""
    return f"{now_ms:012x}{secrets.token_hex(4)}"


def parse_row(key: str, value: bytes) -> Run | str:
    """Return a run, or who wants it cancelled."""
    if key.endswith(CANCEL):
        return str(orjson.loads(value)["by"])
    return msgspec.json.decode(value, type=Run)


def runs_in(rows: Mapping[str, Run | str], now_ms: int) -> list[Run]:
    """Return the runs as they look now, the newest first."""
    found = [row.shown(now_ms) for row in rows.values() if isinstance(row, Run)]
    return sorted(found, key=lambda run: run.id, reverse=True)


def outdated(rows: Mapping[str, Run | str], now_ms: int) -> list[str]:
    """Return the keys of rows that are to be removed: runs of long ago, and what belongs to no run."""
    ended = [run for run in runs_in(rows, now_ms) if run.status != RUNNING]
    gone = {run.id for run in _old(ended, now_ms)}
    kept = {run.id for run in runs_in(rows, now_ms)} - gone
    return sorted(key for key in rows if key.removesuffix(CANCEL) not in kept)


def _old(ended: list[Run], now_ms: int) -> Iterable[Run]:
    for place, run in enumerate(ended):
        if place >= MAX_KEPT or now_ms - (run.ended_ms or run.heartbeat_ms) > KEPT_MS:
            yield run
