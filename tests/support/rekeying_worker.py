"""A worker of two agents: one passes charges on under another key, the other one sums them by that key.

Run as ``python -m tests.support.rekeying_worker APP PORT SOURCE [FAUST ARGUMENTS]``.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from fleet.lane import LaneApp, Put
from fleet.lane.worker import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet.lane import Chunk, Effect, State
    from fleet.settings import Settings

TABLE = "by-day"
REPARTITION = "by-day"
DAYS = 101


def day_of(event: Any) -> str:
    """Return the day that a charge belongs to, which is not what its source topic is keyed by."""
    return f"D{event['id'] % DAYS:03d}"


def topic_of(app_id: str) -> str:
    """Return the repartition topic of the app."""
    return f"{app_id}-{REPARTITION}-repartition"


def new_app(
    app_id: str, port: int, source: str, settings: Settings | None = None, *, partitions: int = 6
) -> LaneApp:
    """Return the worker's app."""
    app = LaneApp(app_id, web_port=port, config=settings)
    by_day = app.repartition(REPARTITION, partitions=partitions)
    days = app.lane_table(TABLE, help="Count and charges by day")
    bounds: dict[str, Any] = {
        "dead_letters": f"{source}-dead",
        "max_chunk_records": int(os.environ.get("LANE_CHUNK_RECORDS", "250")),
    }

    @app.lane_agent(name="re-key", sources=[source], **bounds)
    def rekey(chunk: Chunk, state: State) -> Iterator[Effect]:
        """Pass each charge on under its day."""
        del state
        for record in chunk:
            day = day_of(orjson.loads(record.value or b""))
            yield by_day.emit(day.encode(), record.value, cause=record)

    @app.lane_agent(name="sum-days", sources=[by_day], tables=[days], **bounds)
    def sum_days(chunk: Chunk, state: State) -> Iterator[Effect]:
        """Sum the charges of each day."""
        for record in chunk:
            event, day = orjson.loads(record.value or b""), (record.key or b"").decode()
            count, charges = state.get(TABLE, day) or (0, "0")
            yield Put(TABLE, day, (count + 1, str(Decimal(charges) + Decimal(event["charge"]))))

    return app


if __name__ == "__main__":
    main(lambda: new_app(sys.argv[1], int(sys.argv[2]), sys.argv[3]), sys.argv[4:])
