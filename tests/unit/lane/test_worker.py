"""Starting a lane worker, up to where Faust takes over."""

from __future__ import annotations

import subprocess
import sys

LOOP_OF_A_REFUSED_APP = """
import asyncio
from fleet.errors import FatalError
from fleet.lane.worker import main

def refused():
    print(type(asyncio.new_event_loop()).__module__)
    raise FatalError("no app", hint="make one")

main(refused, ["worker"])
"""


def test_workers_run_on_uvloop_and_a_fatal_error_is_one_line() -> None:
    """The worker's loops are uvloop's, though faust was imported before; a refusal exits 1 with its line."""
    command = [sys.executable, "-c", LOOP_OF_A_REFUSED_APP]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.stdout == "uvloop\n"
    assert ended.stderr == "eventfleet: no app: make one\n"
    assert ended.returncode == 1
