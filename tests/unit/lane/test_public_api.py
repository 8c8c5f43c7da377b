"""The lane as a library: what `fleet.lane` gives, and the agent that its documentation shows."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import fleet.lane
from fleet.lane import Emit, LaneApp, Put, State
from fleet.lane.stores import MemoryStore
from tests.support.lane_fakes import SourceRecord

if TYPE_CHECKING:
    from types import ModuleType


def _example() -> dict[str, Any]:
    """Run the example of the module's documentation; return what it defines."""
    documentation = inspect.getdoc(fleet.lane) or ""
    indented = documentation.split("::\n\n", 1)[1].split("\n\nThe topics have", 1)[0]
    defined: dict[str, Any] = {"__name__": "spending"}
    exec(compile(textwrap.dedent(indented), "spending.py", "exec"), defined)  # noqa: S102 - our own text
    return defined


def test_the_agent_in_the_documentation_runs_as_printed() -> None:
    """It sums per customer, and passes on who spends much."""
    app = _example()["new_app"]()
    assert isinstance(app, LaneApp)
    agent = app.lane.host.agents["spending"]
    state = State({"totals": MemoryStore({"ann": 99_000})}, 0)
    order = SourceRecord(b"2000", key=b"ann")
    assert list(agent.process([order], state)) == [
        Put("totals", "ann", 101_000),
        Emit("shop.large-customers", b"ann", b"101000", cause=order),
    ]


def test_all_that_is_promised_is_there() -> None:
    """In order, so that a change of it is one line."""
    lane: ModuleType = fleet.lane
    assert sorted(lane.__all__) == lane.__all__
    assert [name for name in lane.__all__ if not hasattr(lane, name)] == []


def test_the_lane_stands_on_five_small_modules_alone() -> None:
    """So that it can be taken out of the project as it is."""
    listing = "import fleet.lane, sys; print(sorted(n for n in sys.modules if n.startswith('fleet.')))"
    done = subprocess.run(
        [sys.executable, "-c", listing], check=True, capture_output=True, text=True, timeout=60
    )
    loaded = {name for name in ast.literal_eval(done.stdout) if not name.startswith("fleet.lane")}
    assert loaded == {"fleet.errors", "fleet.logs", "fleet.native", "fleet.people", "fleet.settings"}
