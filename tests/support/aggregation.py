"""Runs the pure aggregation over chunks, with the lane's own state between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.aggregator.domain.aggregation import OPEN, PROGRESS, ROWS, Aggregation, Fact, Late, Result, Write
from fleet.lane.state import State
from fleet.lane.store import DELETED
from fleet.lane.stores import MemoryStore


class Run:
    """State and outcomes of one partition.

    Attributes:
        tables: Committed state by table.
        results: Results published, in order.
        late: (position in the log, window kind) of late events.
    """

    def __init__(self, aggregation: Aggregation) -> None:
        self.tables = {name: MemoryStore() for name in (ROWS, OPEN, PROGRESS)}
        self.results: list[Result] = []
        self.late: list[tuple[int, str]] = []
        self._aggregation = aggregation
        self._seen = 0

    def chunk(self, facts: Sequence[Fact | None]) -> None:
        """Process one chunk and commit it."""
        state = State(self.tables, 0)
        for outcome in self._aggregation.apply(list(facts), state, 0):
            if isinstance(outcome, Write):
                state.staged[outcome.table][outcome.key] = DELETED if outcome.row is None else outcome.row
            elif isinstance(outcome, Late):
                self.late.append((self._seen + outcome.position, outcome.window.kind))
            else:
                self.results.append(outcome)
        for name, staged in state.staged.items():
            self.tables[name].apply(staged, {}, None)
        self._seen += len(facts)

    def chunks(self, cuts: Iterable[Sequence[Fact | None]]) -> Run:
        """Process chunk after chunk."""
        for cut in cuts:
            self.chunk(cut)
        return self

    @property
    def finals(self) -> list[tuple[str, str, int, int, str]]:
        """(group, kind, start, claims, charges) of each final, in order."""
        return [
            (each.group, each.window.kind, each.window.start_ms, each.row["claims"], each.row["charges"])
            for each in self.results
            if each.final
        ]
