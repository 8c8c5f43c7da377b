"""Runs an agent with timers: record by record, each followed by the timers that its time makes due.

So results do not depend on where chunks end: all that is due fires before the next record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from fleet.lane.effects import Domain, Effect, Emit
from fleet.lane.staging import Stage, attempt
from fleet.lane.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.lane.agent import LaneAgent
    from fleet.lane.record import Chunk, Record
    from fleet.lane.state import State
    from fleet.lane.timers import Timer

MOST_FIRED: Final = 1000
"""Timers that fire in one transaction; the rest fire in the next ones, before any further record."""


class Firing:
    """One chunk of an agent with timers.

    Args:
        agent: The agent.
        state: State of the chunk, without staged changes.
        topic: Changelog of the agent's timers.
        check: Raises on an effect that cannot be written.
        most: Bound on the timers that fire.
    """

    def __init__(
        self,
        agent: LaneAgent,
        state: State,
        topic: str,
        check: Callable[[Effect], None],
        most: int = MOST_FIRED,
    ) -> None:
        self._agent = agent
        self._state = state
        self._stage = Stage(state)
        self._timers = Timers(agent.timers_table, topic, state)
        self._check = check
        self._left = most

    def records(self, chunk: Chunk) -> Stage:
        """Fire what is due in event time, and process as many records as the bound allows."""
        for done, record in enumerate(chunk):
            if not self._fire("event"):
                self._stage.left = len(chunk) - done
                return self._stage
            self._process(record)
        self._fire("event")
        return self._stage

    def wall(self) -> Stage:
        """Fire what is due by the wall clock."""
        self._fire("wall")
        return self._stage

    def _process(self, record: Record) -> None:
        def effects() -> Iterator[Effect]:
            at_ms = None if self._agent.event_time is None else self._agent.event_time(record)
            yield from self._timers.translated(self._agent.process([record], self._state))
            if at_ms is not None:
                yield from self._timers.advance(at_ms)

        self._stage.take(attempt(effects(), self._state, record, "process", self._check))

    def _fire(self, domain: Domain) -> bool:
        """Fire what is due, in order; return whether nothing is left that is due."""
        timers = self._timers
        while timer := timers.due(domain, timers.time_ms if domain == "event" else self._state.now_ms):
            if not self._left:
                return False
            self._left -= 1
            self._stage.take(timers.removed(timer))
            effects = attempt(self._effects_of(timer), self._state, timer, "timer", self._check)
            self._stage.take(effects)
        return True

    def _effects_of(self, timer: Timer) -> Iterator[Effect]:
        assert self._agent.on_timer is not None  # noqa: S101 - else there are no timers
        for effect in self._timers.translated(self._agent.on_timer(timer, self._state), timer):
            if isinstance(effect, Emit) and effect.cause is None:
                yield msgspec.structs.replace(effect, cause=timer)
            else:
                yield effect
