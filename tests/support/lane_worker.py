"""A small lane worker: routes members' charges to two topics and sums them, exactly.

Run as ``python -m tests.support.lane_worker APP PORT SOURCE [FAUST ARGUMENTS]``; its topics are
``SOURCE-a``, ``SOURCE-b`` and ``SOURCE-dead``. A charge that is no number raises: a poison record.
"""

from __future__ import annotations

import asyncio
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from fleet.lane import Emit, LaneApp, Put
from fleet.lane.worker import main
from tests.support import lane_hooks
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.lane import Chunk, Effect, State
    from fleet.settings import Settings

TABLE = "sums"
AGENT = "sum"


def topics_of(source: str, partitions: int) -> dict[str, int]:
    """Return every topic that the worker needs, with its partitions."""
    return {source: partitions, f"{source}-a": partitions, f"{source}-b": partitions, f"{source}-dead": 1}


def route_and_sum(source: str) -> Any:
    """Return the worker's function for `source`."""

    def total(chunk: Chunk, state: State) -> Iterator[Effect]:
        """Route each charge by its state of residence, and sum per member."""
        for record in chunk:
            event = orjson.loads(record.value or b"")
            yield Emit(f"{source}-{event['to']}", record.key, record.value, cause=record)
            count, charges = state.get(TABLE, event["member"]) or (0, "0")
            yield Put(TABLE, event["member"], (count + 1, str(Decimal(charges) + Decimal(event["charge"]))))

    return total


async def _told_to_begin() -> None:
    """Wait for the file that the environment names, if any."""
    path = os.environ.get("LANE_READY_FILE")

    async def there() -> bool:
        return path is None or await asyncio.to_thread(Path(path).exists)

    await until(there, 60, "the file to begin with")


def new_app(
    app_id: str,
    port: int,
    source: str,
    settings: Settings | None = None,
    *,
    version: int = int(os.environ.get("LANE_VERSION", "1")),
    migrate: Callable[[str, Any], Any] | None = None,
) -> LaneApp:
    """Return the worker's app."""
    app = LaneApp(app_id, web_port=port, config=settings, version=version)
    sums = app.lane_table(TABLE, migrate=migrate, help="Count and charges per member")
    app.lane_agent(
        name=AGENT,
        sources=[source],
        tables=[sums],
        dead_letters=f"{source}-dead",
        ready=_told_to_begin,
        max_chunk_records=int(os.environ.get("LANE_CHUNK_RECORDS", "250")),
    )(route_and_sum(source))
    return app


if __name__ == "__main__":
    lane_hooks.install()
    main(lambda: new_app(sys.argv[1], int(sys.argv[2]), sys.argv[3]), sys.argv[4:])
