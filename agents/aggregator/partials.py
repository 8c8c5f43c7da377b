"""The first stage: it follows the topics that definitions name, and writes partial aggregates."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from agents.aggregator.aggregating import Aggregating, Origin
from agents.aggregator.domain.messages import Begun, Mark, Source, Standing, encode
from agents.aggregator.domain.progress import (
    Progress,
    SourceProgress,
    row_of,
    source_key,
    source_progress,
)
from agents.aggregator.made_under import made_under
from fleet.lane import Delete, Emit, Follow, Put, Redriven
from fleet.lane.following import slot_of
from schemas.codec import schema_ids

if TYPE_CHECKING:
    from aiokafka.structs import TopicPartition

    from agents.aggregator.domain.plan import Compiled, Plan
    from fleet.lane import Chunk, Effect, Followed, State, Tick
    from fleet.lane.repartition import Repartition
    from schemas.codec import Codec

SOURCES: Final = "aggregate-sources"


class Partials:
    """What the first stage does.

    Args:
        codec: Decodes events.
        partials: Topic of the partial aggregates.
        begun: Topic that tells where builds begin, for their history to be read.
        idle_ms: How long a source has no events before it no longer holds windows open.
    """

    def __init__(self, codec: Codec, partials: Repartition, begun: Repartition, idle_ms: int) -> None:
        self._codec = codec
        self._aggregating = Aggregating(codec, partials.topic, partials.partitions)
        self._begun = begun
        self._idle_ms = idle_ms
        self._told: dict[str, Any] = {}
        self._swept: dict[int, Plan] = {}
        self._followed: tuple[Plan | None, tuple[Follow, ...]] = (None, ())

    def follows(self, state: State) -> tuple[Follow, ...]:
        """Return the topics that active builds name."""
        plan: Plan = state.config
        known, follows = self._followed
        if known is not plan:
            follows = tuple(Follow(topic, start="latest") for topic in sorted(plan.by_source))
            self._followed = plan, follows
        return follows

    async def prepare(self, chunk: Chunk) -> None:
        """Look up the chunk's schemas."""
        await self._codec.ensure(schema_ids(record.value for record in chunk))

    def process(self, chunk: Chunk, state: State) -> Iterator[Effect]:
        """Aggregate events for every build that takes them."""
        plan: Plan = state.config
        first = chunk[0]
        if isinstance(first, Redriven):
            yield from self._aggregating.again(chunk, plan)
            return
        row = state.get(SOURCES, source_key(first.topic, first.partition))
        # A tick comes before the first record, and knows how many partitions there are.
        progress = SourceProgress(first.partition + 1, state.now_ms) if row is None else source_progress(row)
        builds = plan.by_source.get(first.topic, ())
        yield from self._begin(first.topic, first.partition, first.offset, builds, progress, plan)
        progress.seen_ms, progress.idle = state.now_ms, False
        taking = {build: progress.builds[build.id] for build in builds}
        for each in taking.values():
            each.resume(first.offset)
        origin = Origin(Source(first.topic, first.partition), progress.partitions, plan.offset)
        yield from self._aggregating.run(taking, chunk, origin)
        yield Put(SOURCES, source_key(first.topic, first.partition), row_of(progress))

    def on_tick(self, tick: Tick, state: State) -> Iterator[Effect]:
        """Begin new builds, and tell how far sources have got, also when no events come."""
        plan: Plan = state.config
        marks: list[Mark] = []
        for tp, followed in tick.followed.items():
            marks += yield from self._tell(tp, followed, tick.now_ms, state)
        if marks:
            yield from self._aggregating.marks(marks, plan.offset)
        if self._swept.get(state.partition) is not plan:
            followed_keys = {source_key(tp.topic, tp.partition) for tp in tick.followed}
            left = list(_left(followed_keys, state, plan))
            yield from left
            # Only once there is nothing to write: what was written may not have been committed.
            if not left:
                self._swept[state.partition] = plan

    def _tell(
        self, tp: TopicPartition, followed: Followed, now_ms: int, state: State
    ) -> Generator[Effect, None, list[Mark]]:
        """Begin builds that are new in a source; return what not all partitions know of it yet."""
        plan: Plan = state.config
        key = source_key(tp.topic, tp.partition)
        row: Any = state.get(SOURCES, key)
        progress = SourceProgress(followed.partitions, now_ms) if row is None else source_progress(row)
        idle = progress.idle or (followed.caught_up and now_ms - progress.seen_ms >= self._idle_ms)
        known = (row, plan, followed.partitions, idle)
        if self._told.get(key) == known:
            return []
        progress.partitions, progress.idle = followed.partitions, idle
        builds = plan.by_source.get(tp.topic, ())
        yield from self._begin(tp.topic, tp.partition, followed.next, builds, progress, plan)
        marks = list(_news(Source(tp.topic, tp.partition), progress, builds))
        after = row_of(progress)
        if after == row:
            self._told[key] = known
        else:
            yield Put(SOURCES, key, after)
        return marks

    def _begin(
        self,
        topic: str,
        partition: int,
        offset: int,
        builds: Sequence[Compiled],
        progress: SourceProgress,
        plan: Plan,
    ) -> Iterator[Effect]:
        """Begin builds that are new, note which are paused, and forget those that are gone."""
        active = {build.id for build in builds}
        for name, each in progress.builds.items():
            each.paused = each.paused or name not in active
        if not progress.builds.keys() <= plan.builds.keys():
            progress.builds = {name: each for name, each in progress.builds.items() if name in plan.builds}
        for build in builds:
            if build.id in progress.builds:
                continue
            progress.builds = {**progress.builds, build.id: Progress(begun=offset, next=offset)}
            if build.has_history:
                told = Begun(build.id, topic, partition, progress.partitions, offset)
                place = slot_of(topic, partition, self._begun.partitions)
                headers = made_under(plan.offset)
                yield Emit(self._begun.topic, None, encode(told), headers, place)


def _left(followed: Container[str], state: State, plan: Plan) -> Iterator[Effect]:
    """Note of sources that are followed no longer which builds are paused, and forget those that are gone."""
    for key, row in state.scan(SOURCES, "", None):
        if key in followed:
            continue
        progress = source_progress(row)
        progress.builds = {name: each for name, each in progress.builds.items() if name in plan.builds}
        for each in progress.builds.values():
            each.paused = True
        after = row_of(progress)
        if not progress.builds:
            yield Delete(SOURCES, key)
        elif after != row:
            yield Put(SOURCES, key, after)


def _news(source: Source, progress: SourceProgress, builds: Sequence[Compiled]) -> Iterator[Mark]:
    """Yield what not all partitions know yet."""
    standing = Standing.IDLE if progress.idle else Standing.LIVE
    for build in builds:
        each = progress.builds[build.id]
        if each.is_news(progress.partitions, standing):
            yield each.mark(build.id, source, progress.partitions, standing)
