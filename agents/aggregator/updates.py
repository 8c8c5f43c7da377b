"""Updates of rows as they change, put off where they would come too often."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from agents.aggregator.domain.closing import Found
from agents.aggregator.domain.merging import Cell, Merging
from agents.aggregator.domain.plan import Compiled, Plan
from agents.aggregator.domain.rows import (
    BUILDS,
    PENDING,
    ROWS,
    Progress,
    Row,
    RowKey,
    build_key,
    parse_pending_key,
    parse_row_key,
    pending_key,
)
from agents.aggregator.domain.windowing import time_key
from agents.aggregator.domain.windowing.window import MIN_MS
from agents.aggregator.results import Results
from agents.aggregator.telling import update, wants_updates
from fleet.lane import Delete, Effect, Put, PutAll, State
from tables.aggregations.definition import OutputMode

_CURSOR: Final = "updates"


class Updates:
    """The updates of one chunk or tick.

    Those that are put off are rows of `PENDING`, in the order in which they are due. All before a cursor were
    dealt with, and are deleted: scans begin there, not at what is left of rows that were deleted.

    Args:
        results: Makes results of rows.
        state: The state.

    Attributes:
        state: As given.
    """

    def __init__(self, results: Results, state: State) -> None:
        self._results = results
        self.state = state
        self._own = build_key(state.partition, "")
        self._cursor: str = state.get(BUILDS, self._own, {}).get(_CURSOR, "")

    def of_changed(self, merging: Merging, changed: Mapping[str, Cell]) -> Iterator[Effect]:
        """Yield updates of rows that changed; sets in the rows when they were told, or are to be."""
        build, progress = merging.build, merging.progress
        if not wants_updates(build):
            return
        now_ms, every_ms = self.state.now_ms, build.definition.output.every_ms
        both = build.definition.output.mode is OutputMode.BOTH
        reached = merging.reached_ms
        pending: dict[str, int] = {}
        for key, cell in changed.items():
            row = cell.row
            if row is None or (both and cell.closes_ms <= reached):
                continue  # Its final follows.
            if self._waits(key, row):
                continue
            since_ms = now_ms - row.told_ms
            if 0 <= since_ms < every_ms:
                due_ms = max(row.told_ms + every_ms, self._earliest_ms())
                cell.row = row._replace(due_ms=due_ms)
                pending[pending_key(due_ms, key)] = 1
                continue
            cell.row = row._replace(told_ms=now_ms, due_ms=0)
            made = RowKey(build.id, cell.group, cell.window)
            told = update(self._results, build, made, row, progress, now_ms)
            if told is not None:
                yield told
        if pending:
            yield PutAll(PENDING, pending)

    def of_expired(self, build: Compiled, progress: Progress, gone: Iterable[Found]) -> Iterator[Effect]:
        """Yield the updates that rows which expire still wait for."""
        if build.definition.output.mode is OutputMode.BOTH or not wants_updates(build):
            return
        for key, row in gone:
            if self._waits(key.in_rows, row):
                told = update(self._results, build, key, row, progress, self.state.now_ms)
                if told is not None:
                    yield told

    def _waits(self, key: str, row: Row) -> bool:
        """Return whether an update of a row is pending."""
        return row.due_ms > 0 and pending_key(row.due_ms, key) >= self._cursor

    def _earliest_ms(self) -> int:
        """Return when an update can be due, were the clock put back."""
        return int(self._cursor[:16], 16) + MIN_MS + 1 if self._cursor else MIN_MS

    def of_due(
        self, plan: Plan, limit: int, knows: Callable[[Compiled], bool]
    ) -> Generator[Effect, None, bool]:
        """Yield the updates that are due, at most `limit`; return whether there are more.

        Args:
            plan: The plan.
            limit: How many.
            knows: Whether the schema of a build's results is known; those of others wait.
        """
        state, until = self.state, time_key(self.state.now_ms + 1)
        if limit <= 0:
            return True
        keys = [key for key, _ in islice(state.scan(PENDING, self._cursor, until), limit)]
        progresses: dict[str, Progress] = {}
        done = 0
        for key in keys:
            due_ms, row_key = parse_pending_key(key)
            build = plan.builds.get(parse_row_key(row_key).build)
            if build is not None and not knows(build):
                break
            yield Delete(PENDING, key)
            if build is not None and wants_updates(build):
                yield from self._due(build, row_key, due_ms, progresses)
            done += 1
        for name, progress in progresses.items():
            yield Put(BUILDS, build_key(state.partition, name), progress.row())
        if done:
            yield Put(BUILDS, self._own, {_CURSOR: f"{keys[done - 1]}\0"})
        return done == limit

    def _due(self, build: Compiled, key: str, due_ms: int, changed: dict[str, Progress]) -> Iterator[Effect]:
        """Yield the update of a row, if it is still there and waits for it."""
        state, found = self.state, self.state.get(ROWS, key)
        row = None if found is None else Row.of(found)
        if row is None or row.due_ms != due_ms:
            return
        progress = changed.get(build.id) or Progress.of(
            state.get(BUILDS, build_key(state.partition, build.id))
        )
        unwritten = progress.unwritten
        made = parse_row_key(key)
        reached = progress.watermark_ms
        closed = reached is not None and build.windows.closes_at(made.window) <= reached
        if closed and build.definition.output.mode is OutputMode.BOTH:
            return
        told = update(self._results, build, made, row, progress, state.now_ms)
        if told is not None:
            yield told
        elif progress.unwritten > unwritten:
            changed[build.id] = progress
        if not closed:
            yield Put(ROWS, key, [*row._replace(told_ms=state.now_ms, due_ms=0)])
