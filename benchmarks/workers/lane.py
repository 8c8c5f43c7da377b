"""The engine's worker: both cases as lane agents, exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orjson import loads

from benchmarks.claims import ROUTES
from benchmarks.workers.job import ROUTE, TABLE, Job, take
from fleet.lane import Chunk, Effect, Emit, LaneApp, Put, State
from fleet.lane.agent import Process
from fleet.lane.worker import main
from fleet.settings import settings


def route_by(targets: dict[str, str]) -> Process:
    """Return the function that sends each claim to the topic of its state."""

    def route(chunk: Chunk, _state: State) -> Iterator[Effect]:
        """Send each claim to the topic of its state."""
        for record in chunk:
            claim = loads(record.value or b"")
            yield Emit(targets[claim["state"]], record.key, record.value, cause=record)

    return route


def keyed_sum(chunk: Chunk, state: State) -> Iterator[Effect]:
    """Count claims and sum their charges per member."""
    rows: dict[str, Any] = {}
    for record in chunk:
        claim = loads(record.value or b"")
        member = claim["member_id"]
        count, cents = rows.get(member) or state.get(TABLE, member, (0, 0))
        rows[member] = (count + 1, cents + claim["charge_cents"])
    for member, row in rows.items():
        yield Put(TABLE, member, row)


def new_app(job: Job) -> LaneApp:
    """Return the app of `job`."""
    chosen = {"bootstrap_servers": job.bootstrap_servers, "data_dir": Path(job.data_dir)}
    app = LaneApp(job.name, web_port=job.web_port, config=settings().model_copy(update=chosen))
    if job.case == ROUTE:
        process, tables = route_by({state: job.target(to) for state, to in ROUTES.items()}), []
    else:
        process, tables = keyed_sum, [app.lane_table(TABLE)]
    app.lane_agent(name=job.case, sources=[job.source], tables=tables, dead_letters=job.dead_letters)(process)
    return app


if __name__ == "__main__":
    given = take()
    main(lambda: new_app(given), ["worker"])
