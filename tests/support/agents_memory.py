"""Runs an agent's function over chunks as the lane does, with what it commits in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from fleet.lane import DeadLetter, Effect, Emit, Forward, Record
from fleet.lane.agent import Process
from fleet.lane.staging import Stage
from fleet.lane.state import State
from fleet.lane.stores import MemoryStore

Kind = TypeVar("Kind")


class Partition:
    """One partition of an agent: what it has emitted, set aside and stored.

    Attributes:
        tables: Committed tables by name.
        emits: All outputs, in order.
        dead_letters: All dead letters, in order.
    """

    def __init__(self, process: Process, tables: Iterable[str] = (), *, number: int = 0) -> None:
        self.tables = {name: MemoryStore() for name in tables}
        self.emits: list[Emit | Forward] = []
        self.dead_letters: list[DeadLetter] = []
        self._process = process
        self._number = number

    def chunk(self, records: Sequence[Record], config: Any = None) -> Partition:
        """Process one chunk and commit it."""
        stage = Stage(State(self.tables, self._number, config))
        stage.take(self._process(records, stage.state))
        self.emits += stage.outputs()
        self.dead_letters += stage.dead_letters
        for name, staged in stage.state.staged.items():
            self.tables[name].apply(staged, {}, None)
        return self

    def rows(self, table: str) -> dict[str, Any]:
        """Return the committed rows of a table."""
        return dict(self.tables[table].items())

    def to(self, topic: str) -> list[Emit | Forward]:
        """Return what was emitted to a topic, in order."""
        return [emit for emit in self.emits if emit.topic == topic]


def effects_of(process: Callable[..., Iterable[Effect]], records: Sequence[Record]) -> list[Effect]:
    """Return the effects of an agent without state, in order."""
    return list(process(records, State({}, 0)))
