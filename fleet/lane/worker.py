"""Starts a lane app as a Faust worker, or runs another of Faust's commands on it."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING, NoReturn

import mode.loop

from fleet.people import for_people
from fleet.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fleet.lane.app import LaneApp

YOUNG_OBJECTS = 50_000
"""Objects made before the collector looks at them: a chunk makes thousands, and none of a cycle."""


@for_people()
def main(new_app: Callable[[], LaneApp], arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``worker`` (the default) or another Faust command (``agents``, ``tables``, …).

    Args:
        new_app: Makes the app.
        arguments: Command-line arguments, without the program's name; this process's own by default.
    """
    # Not by Faust's --loop: it is read when faust is first imported, which is long done.
    mode.loop.use("uvloop")
    given = list(sys.argv[1:] if arguments is None else arguments) or ["worker"]
    app = new_app()
    if given[0] == "worker":
        asyncio.run(app.lane.preflight())
        app = new_app()  # Faust binds to the loop it first meets: a fresh app for its own.
        if not {"-l", "--loglevel"} & set(given):
            given += ["--loglevel", settings().log_level]
    sys.argv = ["eventfleet", *given]
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    try:
        app.main()
    finally:
        if app.lane.host.fatal is not None:
            raise app.lane.host.fatal
