"""The shell of the second stage: partial aggregates in, rows and results out, around the pure merging."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from agents.aggregator.domain.closing import close, expire, purge
from agents.aggregator.domain.joining import merging_of
from agents.aggregator.domain.merging import Cell, Merging
from agents.aggregator.domain.messages import Mark, Partial, decode
from agents.aggregator.domain.plan import Compiled, Plan
from agents.aggregator.domain.quotas import share_of
from agents.aggregator.domain.rows import (
    BUILDS,
    INDEX,
    ROWS,
    Progress,
    RowKey,
    build_key,
    index_key,
    parse_build_key,
)
from agents.aggregator.domain.watermarks import hear
from agents.aggregator.made_under import require_plan
from agents.aggregator.results import Results
from agents.aggregator.serving import handed_over, predecessors
from agents.aggregator.telling import final, late, too_large, wants_finals
from agents.aggregator.updates import Updates
from fleet.errors import PermanentError, TransientError
from fleet.lane import Chunk, DeadLetter, Delete, Effect, Put, PutAll, Record, State, Tick, TickAgain
from schemas.codec import Codec

MAX_WINDOWS: Final = 8_000
"""Rows that one transaction closes, lets expire or purges at most, and updates that it writes by tick."""


@dataclass(slots=True)
class _Budget:
    """How many rows may still be looked at."""

    left: int

    def take(self, count: int) -> None:
        self.left -= count


class _Builds:
    """What merges the shares of a chunk, by build.

    Args:
        state: The state before the chunk.
        partitions: Over how many partitions quotas are spread.
    """

    def __init__(self, state: State, partitions: int) -> None:
        self._state = state
        self._plan: Plan = state.config
        self._partitions = partitions
        self._known: dict[str, Merging | None] = {}

    def of(self, build: str) -> Merging | None:
        """Return what merges shares of a build; None for one that is no more: its partials are dropped."""
        if build not in self._known:
            self._known[build] = self._new(build)
        return self._known[build]

    def hear(self, marks: Iterable[Mark]) -> None:
        """Take in how far sources have got."""
        for mark in marks:
            found = self.of(mark.build)
            if found is not None:
                hear(found.progress, mark, found.build)

    @property
    def there(self) -> Sequence[Merging]:
        """Those that a message of the chunk was for."""
        return [each for each in self._known.values() if each is not None]

    def _new(self, name: str) -> Merging | None:
        build, state = self._plan.builds.get(name), self._state
        if build is None:
            return None
        row = state.get(BUILDS, build_key(state.partition, name))
        progress = Progress.of(row)
        if row is None:
            progress.serves = build.serves and not any(predecessors(build, state))
        if progress.purged:
            # This plan is older than the one under which another worker began to delete it.
            return None
        progress.config_offset = max(progress.config_offset, self._plan.offset)
        return merging_of(build, progress, state, share_of(build.definition.limits, self._partitions))


class Merger:
    """Merges what the first stage computed, closes windows, and writes results.

    An update is written when a row changes, at most every `Output.every_ms` for each row: one that comes
    sooner is put off, and the newest is written then. Only the build that is served writes. Right after a
    switch to another one, its rows are written as they change from then on, not those that changed before:
    who needs them all queries them. Finals are handed over where they stand, partition by partition: each
    window has one, by the build that serves there when it closes.

    Args:
        codec: Encodes results.
        plan: Gives the current plan, for the schemas that results need.
        config_offset: Up to where the definitions are read, by their topic.
        partitions: Number of partitions of the stage's topics, over which quotas are spread.
    """

    def __init__(
        self, codec: Codec, plan: Callable[[], Plan], config_offset: Callable[[], int], partitions: int
    ) -> None:
        self._codec = codec
        self._plan = plan
        self._config_offset = config_offset
        self._partitions = partitions
        self._results = Results(codec)

    async def ready(self) -> None:
        """Look up the schemas of results."""
        await self._codec.ensure(_schemas(self._plan()))

    async def prepare(self, chunk: Chunk) -> None:
        """Wait for the definitions that a chunk was made under, and look up the schemas of results.

        Raises:
            TransientError: They have not been read yet, or the registry does not answer.
        """
        require_plan(chunk, self._config_offset())
        await self._codec.ensure(_schemas(self._plan()))

    def process(self, chunk: Chunk, state: State) -> Iterator[Effect]:
        """Merge the shares of a chunk into rows, and act upon the watermarks that it moves."""
        builds = _Builds(state, self._partitions)
        for record in chunk:
            try:
                message = decode(record.value or b"")
            except msgspec.MsgspecError as error:
                yield DeadLetter(record, "not_a_partial", "decode", str(error))
                continue
            if isinstance(message, Partial):
                yield from _merged(record, message, builds.of(message.build))
                builds.hear(() if message.mark is None else (message.mark,))
            else:
                builds.hear(message.marks)
        updates, budget, behind = Updates(self._results, state), _Budget(MAX_WINDOWS), False
        for each in builds.there:
            yield from self._rows(each, updates)
            yield from self._closed(each.build, each.progress, updates, budget)
            yield Put(BUILDS, build_key(state.partition, each.build.id), each.progress.row())
            behind |= each.progress.behind
        if behind:
            yield TickAgain()

    def _rows(self, merging: Merging, updates: Updates) -> Iterator[Effect]:
        changed, build = merging.changed, merging.build
        if merging.removed:
            for key, cell in merging.removed.items():
                yield Delete(ROWS, key)
                yield Delete(INDEX, index_key(build.id, cell.window, cell.group))
        if changed:
            yield from updates.of_changed(merging, changed)
            yield PutAll(ROWS, {key: [*_row(cell)] for key, cell in changed.items()})
            new = [cell for cell in changed.values() if cell.is_new]
            if new:
                yield PutAll(INDEX, {index_key(build.id, cell.window, cell.group): 1 for cell in new})

    def _closed(
        self, build: Compiled, progress: Progress, updates: Updates, budget: _Budget
    ) -> Iterator[Effect]:
        """Close windows and let rows expire, within the budget."""
        state = updates.state
        progress.behind = False
        found = close(build, progress, state, budget.left, finals=wants_finals(build, progress))
        budget.take(len(found))
        for each in found:
            told = final(self._results, build, each, progress, state.now_ms)
            if told is not None:
                yield told
        gone = expire(build, progress, state, budget.left)
        budget.take(len(gone))
        yield from updates.of_expired(build, progress, gone)
        yield from _deletes(each.key for each in gone)

    def on_tick(self, tick: Tick, state: State) -> Iterator[Effect]:
        """Write updates that are due, close what a chunk left, and purge what builds that are gone left."""
        del tick
        plan: Plan = state.config
        yield from handed_over(plan, state)
        updates, budget, again = Updates(self._results, state), _Budget(MAX_WINDOWS), False
        for key, row in list(state.prefix(BUILDS, build_key(state.partition, ""))):
            _, name = parse_build_key(key)
            build = plan.builds.get(name)
            if build is None and name and plan.offset > row["config_offset"]:
                again |= yield from _purged(key, name, Progress.of(row), state, budget)
            elif build is not None and row["behind"] and self._knows(build):
                progress = Progress.of(row)
                yield from self._closed(build, progress, updates, budget)
                yield Put(BUILDS, key, progress.row())
                again |= progress.behind
        again |= yield from updates.of_due(plan, budget.left, self._knows)
        if again:
            yield TickAgain()

    def _knows(self, build: Compiled) -> bool:
        """Return whether the schema of a build's results was looked up, or cannot be used."""
        try:
            if build.build.output_schema is not None:
                self._codec.schema(build.build.output_schema)
        except TransientError:
            return False
        except PermanentError:
            return True
        return True


def _merged(record: Record, partial: Partial, merging: Merging | None) -> Iterator[Effect]:
    if merging is None:
        return
    left = merging.merge(partial)
    if left.late:
        merging.progress.late += sum(share[2] for shares in left.late.values() for share in shares)
        yield from late(record, partial, left.late, merging.progress.watermark_ms)
    if left.too_large:
        yield too_large(record, partial, left.too_large)


def _purged(
    key: str, build: str, progress: Progress, state: State, budget: _Budget
) -> Generator[Effect, None, bool]:
    """Delete rows of a build that is no more, in the end its own; return whether more are left."""
    if budget.left <= 0:
        return True
    gone = purge(build, progress, state, budget.left)
    budget.take(len(gone))
    yield from _deletes(gone)
    yield Put(BUILDS, key, progress.row()) if gone else Delete(BUILDS, key)
    return bool(gone)


def _deletes(keys: Iterable[RowKey]) -> Iterator[Effect]:
    for key in keys:
        yield Delete(ROWS, key.in_rows)
        yield Delete(INDEX, key.in_index)


def _row(cell: Cell) -> Sequence[Any]:
    return () if cell.row is None else cell.row


def _schemas(plan: Plan) -> set[int]:
    """Return the schemas of all results that may be written."""
    found = {each.build.output_schema for each in plan.serving.values() if each.definition.output.topic}
    return found - {None}  # type: ignore[return-value] # what is left are numbers
