"""Stock Faust's worker: the cases as plain agents, at least once, with its fastest sensible settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import faust
import mode.loop

from benchmarks.workers.charge import read_charge
from benchmarks.workers.job import ROUTES, RULE_HEADER, TABLE, WINDOWS, Job, take
from benchmarks.workers.plain import router

LINGER_S = 0.02
BATCH_BYTES = 256 * 1024
COMMIT_INTERVAL_S = 0.25  # Progress is seen by it; 2.8 s, the default, is no faster.
RETENTION_S = 86_400


def new_app(job: Job) -> faust.App:
    """Return the app of `job`."""
    app = faust.App(
        job.name,
        broker=f"kafka://{job.bootstrap_servers}",
        broker_commit_interval=COMMIT_INTERVAL_S,
        consumer_auto_offset_reset="earliest",
        datadir=str(Path(job.data_dir) / "faust"),
        processing_guarantee="at_least_once",
        producer_linger=LINGER_S,
        producer_max_batch_size=BATCH_BYTES,
        store="memory://",
        stream_wait_empty=False,
        table_standby_replicas=0,
        topic_disable_leader=True,
        topic_partitions=job.partitions,
        web_bind="127.0.0.1",
        web_port=job.web_port,
    )
    # Bytes, decoded by orjson in the agent: faust.Record models cost more.
    source = app.topic(job.source, key_type=bytes, value_type=bytes, value_serializer="raw")
    if job.case in ROUTES:
        _route(app, source, job)
    else:
        (_windowed if job.case in WINDOWS else _keyed_sum)(app, source, job)

    async def announce() -> None:
        # Faust starts its tasks when the tables are recovered.
        job.tell_ready()

    app.task(announce)
    return app


def _route(app: faust.App, source: Any, job: Job) -> None:
    topics = {
        rule.topic: app.topic(rule.topic, key_type=bytes, value_type=bytes, value_serializer="raw")
        for rule in job.rules
    }
    decide = router(job)

    async def route(stream: Any) -> None:
        async for event in stream.events():
            headers = event.message.headers
            for topic, header in decide(event.value, headers):
                outgoing = [*headers, (RULE_HEADER, header)]
                await topics[topic].send(key=event.key, value=event.value, headers=outgoing)

    app.agent(source, name=job.case)(route)


def _keyed_sum(app: faust.App, source: Any, job: Job) -> None:
    table = app.Table(TABLE, partitions=job.partitions, key_type=str)

    async def keyed_sum(stream: Any) -> None:
        async for value in stream:
            charge = read_charge(value)
            member = charge.member_id
            count, cents = table.get(member) or (0, 0)
            table[member] = (count + 1, cents + charge.charge_cents)

    app.agent(source, name=job.case)(keyed_sum)


def _windowed(app: faust.App, source: Any, job: Job) -> None:
    window = job.windows
    now_s = [0.0]

    def event_time_s(event: Any) -> float:
        """Return the time of the event in hand: its value is decoded once, in the agent."""
        del event
        return now_s[0]

    rows: Any = app.Table(TABLE, partitions=job.partitions, key_type=str, default=lambda: (0, 0))
    hopping = rows.hopping(window.size_ms / 1000, window.advance_ms / 1000, expires=RETENTION_S)
    table = hopping.relative_to(event_time_s)

    async def windowed(stream: Any) -> None:
        async for event in stream.events():
            charge = read_charge(event.value)
            now_s[0] = charge.event_time_ms / 1000
            table[charge.member_id].apply(_added, (1, charge.charge_cents), event)

    app.agent(source, name=job.case)(windowed)


def _added(row: Any, change: Any) -> Any:
    return row[0] + change[0], row[1] + change[1]


if __name__ == "__main__":
    mode.loop.use("uvloop")  # Faust reads its --loop only from the command line it is imported under.
    app = new_app(take())
    sys.argv = ["faust", "worker", "--loglevel", "info"]
    app.main()
