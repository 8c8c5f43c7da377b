"""A small lane worker with timers: each record sets one, in event time and by the wall clock.

Run as ``python -m tests.support.lane_timer_worker APP PORT SOURCE``; a record names its timer, its
event time and when the timers are due. Fired timers go to ``SOURCE-fired``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import orjson

from fleet.lane import Emit, LaneApp, SetTimer
from fleet.lane.worker import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet.lane import Chunk, Effect, Record, State, Timer


def set_timers(chunk: Chunk, state: State) -> Iterator[Effect]:
    """Set what each record asks for."""
    del state
    for record in chunk:
        asked = orjson.loads(record.value or b"")
        for domain in ("event", "wall"):
            if domain in asked:
                yield SetTimer(asked["name"], asked[domain], domain, payload=asked["at"])


def event_time(record: Record) -> int:
    """Return the event time that the record names."""
    return int(orjson.loads(record.value or b"")["at"])


def new_app(app_id: str, port: int, source: str) -> LaneApp:
    """Return the worker's app."""
    app = LaneApp(app_id, web_port=port)

    def fired(timer: Timer, state: State) -> Iterator[Effect]:
        del state
        told = [timer.domain, timer.name, timer.at_ms, timer.payload]
        yield Emit(f"{source}-fired", timer.key, orjson.dumps(told))

    declare = app.lane_agent(
        name="clock",
        sources=[source],
        dead_letters=f"{source}-dead",
        on_timer=fired,
        event_time=event_time,
    )
    declare(set_timers)
    return app


if __name__ == "__main__":
    main(lambda: new_app(sys.argv[1], int(sys.argv[2]), sys.argv[3]), sys.argv[4:])
