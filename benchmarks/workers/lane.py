"""The engine's worker: every case as a lane agent, exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.router.domain.timeline import Timeline
from agents.router.route import COUNTS, Router
from benchmarks.claims import EVENT_TYPE
from benchmarks.rules import cel
from benchmarks.workers.aggregation import Window
from benchmarks.workers.charge import read_charge
from benchmarks.workers.job import ROUTE_ATTRIBUTES, ROUTES, TABLE, WINDOWS, Job, take
from fleet.lane import Chunk, Effect, LaneApp, PutAll, State
from fleet.lane.agent import Process
from fleet.lane.worker import main
from fleet.settings import settings
from schemas.codec import Codec
from schemas.registry import Registry
from tables.routes.rule import Rule as RouterRule
from tables.routes.rule import State as RuleState

READY_POLL_S = 0.01
WATERMARK = "(watermark)"


def keyed_sum(chunk: Chunk, state: State) -> Iterator[Effect]:
    """Count claims and sum their charges per member."""
    rows: dict[str, Any] = {}
    for record in chunk:
        charge = read_charge(record.value or b"")
        member = charge.member_id
        count, cents = rows.get(member) or state.get(TABLE, member, (0, 0))
        rows[member] = (count + 1, cents + charge.charge_cents)
    yield PutAll(TABLE, rows)


def windowed_sum(window: Window) -> Process:
    """Return the function that does so per window of event time."""
    last = window.size_ms - window.advance_ms
    keep_ms = window.size_ms + window.grace_ms

    def windowed(chunk: Chunk, state: State) -> Iterator[Effect]:
        """Count claims and sum their charges per member and window."""
        rows: dict[str, Any] = {}
        watermark_ms = state.get(TABLE, WATERMARK, 0)
        for record in chunk:
            charge = read_charge(record.value or b"")
            at_ms, member, cents = charge.event_time_ms, charge.member_id, charge.charge_cents
            if at_ms > watermark_ms:  # noqa: PLR1730 - faster than max()
                watermark_ms = at_ms
            newest = at_ms - at_ms % window.advance_ms
            for start in range(newest - last, newest + 1, window.advance_ms):
                if start + keep_ms <= watermark_ms:
                    continue  # Closed: the event is late for it.
                key = f"{member}/{start}"
                count, total = rows.get(key) or state.get(TABLE, key, (0, 0))
                rows[key] = (count + 1, total + cents)
        rows[WATERMARK] = watermark_ms
        yield PutAll(TABLE, rows)

    return windowed


def rule_set(job: Job) -> Timeline:
    """Return the job's rules as the router's."""
    root = "attributes" if job.case == ROUTE_ATTRIBUTES else "event"
    return Timeline.of(
        RouterRule(
            name=rule.name,
            version=1,
            owner="benchmarks",
            source=EVENT_TYPE,
            targets=(rule.topic,),
            condition=cel(rule, root),
            state=RuleState.ACTIVE,
        )
        for rule in job.rules
    )


def new_app(job: Job) -> LaneApp:
    """Return the app of `job`."""
    chosen = {"bootstrap_servers": job.bootstrap_servers, "data_dir": Path(job.data_dir)}
    app = LaneApp(job.name, web_port=job.web_port, config=settings().model_copy(update=chosen))
    (_declare_router if job.case in ROUTES else _declare_sum)(app, job)

    async def announce() -> None:
        while app.lane.host.unready():  # noqa: ASYNC110 - it has no event for all tasks at once
            await asyncio.sleep(READY_POLL_S)
        job.tell_ready()

    app.task(announce)
    return app


def _declare_router(app: LaneApp, job: Job) -> None:
    """Declare the agent of the router worker, with the job's rules in place of a topic's."""
    registry = Registry(job.registry_url)
    app.lane.closing.append(registry.close)
    router, rules = Router(Codec(registry)), rule_set(job)
    counts = app.lane_table(COUNTS, partition_by=lambda key: int(key.split("/", 1)[0]))
    app.lane_agent(
        name=job.case,
        sources=[job.source],
        tables=[counts],
        dead_letters=job.dead_letters,
        prepare=router.prepare,
        config=lambda: rules,
    )(router.process)


def _declare_sum(app: LaneApp, job: Job) -> None:
    process = windowed_sum(job.windows) if job.case in WINDOWS else keyed_sum
    tables = [app.lane_table(TABLE, store=job.store)]
    app.lane_agent(name=job.case, sources=[job.source], tables=tables, dead_letters=job.dead_letters)(process)


if __name__ == "__main__":
    given = take()
    main(lambda: new_app(given), ["worker"])
