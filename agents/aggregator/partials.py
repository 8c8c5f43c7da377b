"""The first stage: it follows the topics that definitions name, and writes partial aggregates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from fleet.lane import Emit, Follow, Put, Redriven
from fleet.lane.following import slot_of
from schemas.codec import schema_ids

if TYPE_CHECKING:
    from agents.aggregator.domain.plan import Compiled, Plan
    from fleet.lane import Chunk, Effect, State, Tick
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
        progress = _progress(state, first.topic, first.partition, default_partitions=first.partition + 1)
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
            progress = _progress(state, tp.topic, tp.partition, followed.partitions, tick.now_ms)
            before = row_of(progress)
            progress.partitions = followed.partitions
            builds = plan.by_source.get(tp.topic, ())
            yield from self._begin(tp.topic, tp.partition, followed.next, builds, progress, plan)
            since_ms = tick.now_ms - progress.seen_ms
            progress.idle = progress.idle or (followed.caught_up and since_ms >= self._idle_ms)
            marks += _news(Source(tp.topic, tp.partition), progress, builds)
            after = row_of(progress)
            if after != before:
                yield Put(SOURCES, source_key(tp.topic, tp.partition), after)
        if marks:
            yield from self._aggregating.marks(marks, plan.offset)

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
                headers = (("fleet_config", str(plan.offset).encode()),)
                yield Emit(self._begun.topic, None, encode(told), headers, place)


def _progress(
    state: State, topic: str, partition: int, default_partitions: int, now_ms: int | None = None
) -> SourceProgress:
    row: Any = state.get(SOURCES, source_key(topic, partition))
    if row is None:
        return SourceProgress(default_partitions, state.now_ms if now_ms is None else now_ms)
    return source_progress(row)


def _news(source: Source, progress: SourceProgress, builds: Sequence[Compiled]) -> Iterator[Mark]:
    """Yield what not all partitions know yet."""
    standing = Standing.IDLE if progress.idle else Standing.LIVE
    for build in builds:
        each = progress.builds[build.id]
        news = each.watermark_ms, f"{standing.value}/{progress.partitions}"
        if each.told != news:
            each.told = news
            yield each.mark(build.id, source, progress.partitions, standing)
