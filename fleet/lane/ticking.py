"""Ticks: an agent's function that is called from time to time, between chunks, in transactions of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from fleet.errors import FatalError, PermanentError, TransientError
from fleet.lane.errors import Lost
from fleet.lane.following import Followed
from fleet.lane.staging import Stage, checked

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from typing import Any

    from aiokafka.structs import TopicPartition

    from fleet.lane.acquire import Hold
    from fleet.lane.effects import Effect
    from fleet.lane.state import State


class Tick(msgspec.Struct, frozen=True):
    """The moment of a call of `LaneAgent.on_tick`.

    Attributes:
        now_ms: Wall-clock time, epoch milliseconds; `State.now_ms` is the same.
        followed: What the task follows, by (topic, partition).
    """

    now_ms: int
    followed: Mapping[TopicPartition, Followed]


OnTick: TypeAlias = "Callable[[Tick, State], Iterable[Effect]]"


class Ticks:
    """When one hold's ticks are due, and what they do.

    The same transaction writes where the task stands in what is newly followed, due at once, so that this is
    known before any record of it is processed; it does so for an agent without `on_tick` too.

    Args:
        hold: The hold.
        unread: What records are fetched of and not processed, at any moment.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        hold: Hold,
        unread: Container[TopicPartition],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hold = hold
        self._agent = hold.agent
        self._unread = unread
        self._clock = clock
        self._due_at = 0.0

    def at_once(self) -> None:
        """Let the next one be due."""
        self._due_at = 0.0

    def is_due(self) -> bool:
        """Return whether one is due."""
        following = self._hold.following
        return self._clock() >= self._due_at or (following is not None and bool(following.pending))

    def left_s(self) -> float:
        """Return how long until one is due."""
        return max(0.0, self._due_at - self._clock())

    def begins(self) -> None:
        """Note that one begins: the next is due a while after its beginning, whatever it takes."""
        self._due_at = self._clock() + self._agent.tick_every_s if self._agent.on_tick else math.inf

    def compute(
        self,
        records: Sequence[Any],
        new_state: Callable[[], State],
        check: Callable[[Effect], None] | None = None,
    ) -> Stage:
        """Call the agent's function, with nothing for `records`.

        Raises:
            FatalError: It cannot go on, or what it yields cannot be written.
        """
        del records
        state = new_state()
        stage = Stage(state)
        if self._agent.on_tick is None:
            return stage
        try:
            effects = self._agent.on_tick(self._tick(state), state)
            stage.take(effects if check is None else checked(effects, state, check))
        except (TransientError, FatalError, Lost):
            raise
        except PermanentError as error:
            raise FatalError(
                f"agent {self._agent.name}: on_tick: {error.message}", hint=error.hint
            ) from error
        except Exception as error:
            message = f"agent {self._agent.name}: on_tick fails ({type(error).__name__})"
            raise FatalError(
                message, hint="mend it, or let it raise TransientError to be tried again"
            ) from error
        return stage

    def _tick(self, state: State) -> Tick:
        following = self._hold.following
        return Tick(state.now_ms, {} if following is None else following.described(self._unread))
