"""A small lane worker that runs at least once: it sends each record on to ``SOURCE-out``.

Run as ``python -m tests.support.lane_routing_worker APP PORT SOURCE``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fleet.lane import Emit, LaneApp
from fleet.lane.worker import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet.lane import Chunk, Effect, State


def new_app(app_id: str, port: int, source: str) -> LaneApp:
    """Return the worker's app."""
    app = LaneApp(app_id, web_port=port)

    def route(chunk: Chunk, state: State) -> Iterator[Effect]:
        """Send each record on."""
        del state
        for record in chunk:
            yield Emit(f"{source}-out", record.key, record.value, cause=record)

    declare = app.lane_agent(
        name="route",
        sources=[source],
        dead_letters=f"{source}-dead",
        guarantee="at_least_once",
        max_chunk_records=50,
    )
    declare(route)
    return app


if __name__ == "__main__":
    main(lambda: new_app(sys.argv[1], int(sys.argv[2]), sys.argv[3]), sys.argv[4:])
