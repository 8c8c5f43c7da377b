"""From a chunk to the content of one transaction, nothing of it visible yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from fleet.errors import FatalError, PermanentError, TransientError
from fleet.lane.effects import (
    CancelTimer,
    DeadLetter,
    Delete,
    Effect,
    Emit,
    Forward,
    ForwardAll,
    Put,
    PutAll,
    SetTimer,
    TickAgain,
)
from fleet.lane.errors import Lost
from fleet.lane.state import State
from fleet.lane.store import DELETED

if TYPE_CHECKING:
    from fleet.lane.agent import LaneAgent
    from fleet.lane.record import Chunk, Record

_UNTOUCHED: Final = object()

Output: TypeAlias = Emit | Forward
_OUTPUTS: Final = (Emit, Forward, ForwardAll)


def any_effect(effect: Effect) -> None:
    """Refuse nothing."""
    del effect


@dataclass(slots=True)
class Stage:
    """The outcome of an agent's function over one chunk.

    Attributes:
        state: With what it wrote.
        left: Records at the end of the chunk that are left to the next one.
        tick_again: Whether the agent asks for a tick at once.
    """

    state: State
    left: int = 0
    tick_again: bool = False
    emits: list[Output | ForwardAll] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def outputs(self) -> Iterator[Output]:
        """Yield the records that are to be written to topics, one by one."""
        for emit in self.emits:
            if isinstance(emit, ForwardAll):
                yield from emit.singly()
            else:
                yield emit

    def count(self) -> int:
        """Return how many there are."""
        return sum(len(emit.causes) if isinstance(emit, ForwardAll) else 1 for emit in self.emits)

    def is_empty(self) -> bool:
        """Return whether there is nothing to commit."""
        return not (self.emits or self.dead_letters or any(self.state.staged.values()))

    def take(self, effects: Iterable[Effect]) -> None:
        """Stage each effect as it is yielded, so that the function reads its own writes."""
        emits, staged = self.emits, self.state.staged
        for effect in effects:
            if isinstance(effect, _OUTPUTS):
                emits.append(effect)
            elif isinstance(effect, Put):
                staged[effect.table][effect.key] = effect.value
            elif isinstance(effect, PutAll):
                staged[effect.table].update(effect.rows)
            elif isinstance(effect, Delete):
                staged[effect.table][effect.key] = DELETED
            elif isinstance(effect, DeadLetter):
                self.dead_letters.append(effect)
            elif isinstance(effect, TickAgain):
                self.tick_again = True
            else:
                if isinstance(effect, SetTimer | CancelTimer):
                    raise FatalError("the agent sets timers", hint="give it an on_timer")
                message = f"{type(effect).__name__} is not an effect"
                raise TypeError(message)


def run(agent: LaneAgent, chunk: Chunk, new_state: Any) -> Stage:
    """Run the agent's function over `chunk`; a record it raises on becomes a dead letter.

    Args:
        agent: The agent.
        chunk: Records of one partition, in order.
        new_state: Called for a fresh `State` without staged changes.

    Raises:
        TransientError: The agent asks for the chunk to be tried again later.
        FatalError: The agent cannot go on.
        Lost: A table cannot be read.
    """
    stage = Stage(new_state())
    try:
        stage.take(agent.process(chunk, stage.state))
    except (TransientError, FatalError, Lost):
        raise
    except Exception:  # noqa: BLE001 - any bug of an agent on any record
        return _record_by_record(agent, chunk, Stage(new_state()))
    return stage


def isolate(agent: LaneAgent, chunk: Chunk, new_state: Any, check: Callable[[Effect], None]) -> Stage:
    """Run the agent's function over each record of `chunk` alone, after `build` refused a row of theirs.

    A record that writes a row which its changelog cannot hold becomes a dead letter.
    """
    return _record_by_record(agent, chunk, Stage(new_state()), check)


def _record_by_record(
    agent: LaneAgent, chunk: Chunk, stage: Stage, check: Callable[[Effect], None] = any_effect
) -> Stage:
    for record in chunk:
        effects = _of(agent, record, stage.state)
        stage.take(attempt(effects, stage.state, record, "process", check))
    return stage


def _of(agent: LaneAgent, record: Record, state: State) -> Iterator[Effect]:
    # Called when the first effect is asked for: a function that is no generator may raise at once.
    yield from agent.process([record], state)


def attempt(
    effects: Iterable[Effect], state: State, record: Any, step: str, check: Callable[[Effect], None]
) -> list[Effect]:
    """Return the effects of one record, all or none: a dead letter where they end in an error of its own."""
    try:
        return checked(effects, state, check)
    except (TransientError, FatalError, Lost):
        raise
    except PermanentError as error:
        return [DeadLetter(record, error.reason, step, error.message)]
    except Exception as error:  # noqa: BLE001 - any bug of an agent on any record
        return [DeadLetter(record, f"{step}_error", step, type(error).__name__)]


def checked(effects: Iterable[Effect], state: State, check: Callable[[Effect], None]) -> list[Effect]:
    """Collect a record's effects whole, letting the function read its own writes meanwhile."""
    trial, collected = Stage(state), []
    undo: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for effect in _one_by_one(effects):
            if isinstance(effect, Put | Delete):
                rows = state.staged[effect.table]
                undo.append((rows, effect.key, rows.get(effect.key, _UNTOUCHED)))
            check(effect)
            collected.append(effect)
            trial.take([effect])
    except BaseException:
        for rows, key, value in reversed(undo):
            if value is _UNTOUCHED:
                rows.pop(key, None)
            else:
                rows[key] = value
        raise
    return collected


def _one_by_one(effects: Iterable[Effect]) -> Iterator[Effect]:
    for effect in effects:
        if isinstance(effect, PutAll | ForwardAll):
            yield from effect.singly()
        else:
            yield effect
