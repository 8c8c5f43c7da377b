"""Stock Faust's worker: both cases as plain agents, at least once, with its fastest sensible settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import faust
import mode.loop
from orjson import loads

from benchmarks.claims import PARTITIONS, ROUTES
from benchmarks.workers.job import ROUTE, TABLE, Job, take

LINGER_S = 0.02
BATCH_BYTES = 256 * 1024
COMMIT_INTERVAL_S = 0.25  # Progress is seen by it; 2.8 s, the default, is no faster.


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
        topic_partitions=PARTITIONS,
        web_bind="127.0.0.1",
        web_port=job.web_port,
    )
    # Bytes, decoded by orjson in the agent: faust.Record models cost more.
    source = app.topic(job.source, key_type=bytes, value_type=bytes, value_serializer="raw")
    (_route if job.case == ROUTE else _keyed_sum)(app, source, job)
    return app


def _route(app: faust.App, source: Any, job: Job) -> None:
    topics = {
        state: app.topic(job.target(suffix), key_type=bytes, value_type=bytes, value_serializer="raw")
        for state, suffix in ROUTES.items()
    }

    async def route(stream: Any) -> None:
        async for event in stream.events():
            claim = loads(event.value)
            await topics[claim["state"]].send(key=event.key, value=event.value)

    app.agent(source, name=ROUTE)(route)


def _keyed_sum(app: faust.App, source: Any, job: Job) -> None:
    table = app.Table(TABLE, partitions=PARTITIONS, key_type=str)

    async def keyed_sum(stream: Any) -> None:
        async for value in stream:
            claim = loads(value)
            member = claim["member_id"]
            count, cents = table.get(member) or (0, 0)
            table[member] = (count + 1, cents + claim["charge_cents"])

    app.agent(source, name=job.case)(keyed_sum)


if __name__ == "__main__":
    mode.loop.use("uvloop")  # Faust reads its --loop only from the command line it is imported under.
    app = new_app(take())
    sys.argv = ["faust", "worker", "--loglevel", "info"]
    app.main()
