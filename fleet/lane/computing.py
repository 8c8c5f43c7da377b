"""From records, or from the clock, to a stage: how the functions of the two kinds of agents are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from fleet.lane import staging
from fleet.lane.firing import Firing

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from fleet.lane.acquire import Hold
    from fleet.lane.effects import Effect
    from fleet.lane.state import State

Check: TypeAlias = "Callable[[Effect], None] | None"
Compute: TypeAlias = "Callable[[list[ConsumerRecord], Callable[[], State], Check], staging.Stage]"
"""Computes a chunk: of records, from states without staged changes, with what refuses rows."""


def of_records(hold: Hold) -> Compute:
    """Return what computes chunks of records."""
    agent = hold.agent
    if agent.on_timer is None:

        def compute(
            records: list[ConsumerRecord], new_state: Callable[[], State], check: Check
        ) -> staging.Stage:
            if check is None:
                return staging.run(agent, records, new_state)
            return staging.isolate(agent, records, new_state, check)

        return compute
    return lambda records, new_state, check: _firing(hold, new_state, check).records(records)


def of_the_clock(hold: Hold) -> Compute:
    """Return what fires timers that are due by the wall clock."""
    return lambda _records, new_state, check: _firing(hold, new_state, check).wall()


def _firing(hold: Hold, new_state: Callable[[], State], check: Check) -> Firing:
    topic = hold.changelogs[hold.agent.timers_table]
    return Firing(hold.agent, new_state(), topic, check or staging.any_effect)
