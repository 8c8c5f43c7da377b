"""The declaration of an agent: what cannot be right is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.errors import FatalError
from fleet.lane.agent import LaneAgent


def agent(**options: Any) -> LaneAgent:
    """Return an agent with these options."""
    return LaneAgent(name="a", sources=("s",), process=lambda _chunk, _state: (), dead_letters="d", **options)


@pytest.mark.parametrize("state", [{"tables": ("t",)}, {"on_timer": lambda _timer, _state: ()}])
def test_an_agent_with_state_does_not_run_at_least_once(state: dict[str, Any]) -> None:
    """Its rows could count an event twice."""
    assert agent(guarantee="at_least_once").tables == ()
    assert agent(**state).tables
    with pytest.raises(FatalError, match="tables or timers, which at least once could count twice"):
        agent(guarantee="at_least_once", **state)


def test_a_guarantee_that_there_is_not_is_refused() -> None:
    """A slip of the pen must not weaken what holds."""
    with pytest.raises(FatalError, match="no guarantee 'exactly-once'"):
        agent(guarantee="exactly-once")
