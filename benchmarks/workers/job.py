"""What a worker is told to do, handed over as one JSON argument."""

from __future__ import annotations

import os
import sys

import msgspec

ROUTE = "route"
KEYED_SUM = "keyed-sum"
CASES = (ROUTE, KEYED_SUM)
TABLE = "sums"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one worker.

    Attributes:
        name: App id and consumer group, used by no other run.
        case: One of `CASES`.
        bootstrap_servers: Brokers.
        source: Topic of claims.
        core: The one processor core that the worker may use.
        data_dir: Folder for what the worker keeps.
        web_port: Port of its web views.
    """

    name: str
    case: str
    bootstrap_servers: str
    source: str
    core: int
    data_dir: str
    web_port: int

    def target(self, suffix: str) -> str:
        """Return the name of a target topic."""
        return f"{self.name}-{suffix}"

    @property
    def changelog(self) -> str:
        """Changelog topic of the table, as Faust names it."""
        return f"{self.name}-{TABLE}-changelog"

    @property
    def dead_letters(self) -> str:
        """Topic of the dead letters."""
        return f"{self.name}-dead-letters"

    def argument(self) -> str:
        """Return this job as a command-line argument."""
        return msgspec.json.encode(self).decode()


def take() -> Job:
    """Return the job of this process, which from now on stays on its core."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    os.sched_setaffinity(0, {job.core})
    return job
