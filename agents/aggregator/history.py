"""History: what was in a topic before a build began is aggregated beside what comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from agents.aggregator.aggregating import Aggregating, Origin
from agents.aggregator.domain.messages import Mark, Source, Standing, decode_begun
from agents.aggregator.domain.progress import (
    HistoryProgress,
    Job,
    Progress,
    history_progress,
    parse_source_key,
    row_of,
    source_key,
)
from agents.aggregator.made_under import require_plan
from fleet.lane import Delete, Follow, Put, Redriven
from schemas.codec import schema_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.aggregator.domain.plan import Compiled, Plan
    from fleet.lane import Chunk, Effect, Record, State, Tick
    from fleet.lane.repartition import Repartition
    from schemas.codec import Codec

HISTORIES: Final = "aggregate-histories"


class History:
    """Reads partitions from their beginning to where builds began.

    Args:
        codec: Decodes events.
        history: Topic of the partial aggregates.
        begun: Topic that tells where builds began.
        plan: Gives the plan as it is.
    """

    def __init__(
        self, codec: Codec, history: Repartition, begun: Repartition, plan: Callable[[], Plan]
    ) -> None:
        self._codec = codec
        self._aggregating = Aggregating(codec, history.topic, history.partitions)
        self._begun = begun.topic
        self._plan = plan

    def follows(self, state: State) -> tuple[Follow, ...]:
        """Return the partitions whose history is being read."""
        return tuple(
            Follow(topic, start="earliest", partition=partition, token=progress.run)
            for topic, partition, progress in _histories(state)
            if progress.jobs
        )

    async def prepare(self, chunk: Chunk) -> None:
        """Look up the chunk's schemas, and wait for the definitions that builds which began are of."""
        if chunk and chunk[0].topic == self._begun:
            require_plan(chunk, self._plan().offset)
        else:
            await self._codec.ensure(schema_ids(record.value for record in chunk))

    def process(self, chunk: Chunk, state: State) -> Iterator[Effect]:
        """Note which builds began where, or aggregate what was there before."""
        first, plan = chunk[0], state.config
        if isinstance(first, Redriven):
            yield from self._aggregating.again(chunk, plan)
            return
        if first.topic == self._begun:
            yield from self._note(chunk, state)
            return
        row = state.get(HISTORIES, source_key(first.topic, first.partition))
        if row is None:
            return
        progress = history_progress(row)
        source = Source(first.topic, first.partition, history=True)
        for stop, builds in _by_stop(progress, plan):
            origin = Origin(source, progress.partitions, plan.offset, stop=stop)
            records = _before(chunk, stop)
            if records:
                taking = {build: progress.jobs[build.id].progress for build in builds}
                yield from self._aggregating.run(taking, records, origin)
        yield from self._ended(first.topic, first.partition, chunk[-1].offset + 1, progress, plan)

    def on_tick(self, tick: Tick, state: State) -> Iterator[Effect]:
        """Begin and end readings, and tell how far they have got."""
        plan: Plan = state.config
        marks: list[Mark] = []
        followed = {(tp.topic, tp.partition): each for tp, each in tick.followed.items()}
        for topic, partition, progress in list(_histories(state)):
            at, before = followed.get((topic, partition)), row_of(progress)
            marks += _news(Source(topic, partition, history=True), progress)
            if at is not None and at.caught_up:
                # The last offsets before a stop may be of no record.
                yield from self._ended(topic, partition, max(at.next, _last_stop(progress)), progress, plan)
            elif not progress.jobs or not progress.jobs.keys() <= plan.builds.keys():
                yield from self._ended(topic, partition, 0, progress, plan)
            elif row_of(progress) != before:
                yield Put(HISTORIES, source_key(topic, partition), row_of(progress))
        if marks:
            yield from self._aggregating.marks(marks, plan.offset)

    def _note(self, chunk: Chunk, state: State) -> Iterator[Effect]:
        for record in chunk:
            begun = decode_begun(record.value or b"")
            key = source_key(begun.topic, begun.partition)
            row = state.get(HISTORIES, key)
            progress = HistoryProgress(begun.partitions) if row is None else history_progress(row)
            progress.waiting = {**progress.waiting, begun.build: begun.offset}
            yield Put(HISTORIES, key, row_of(progress))

    def _ended(
        self, topic: str, partition: int, at: int, progress: HistoryProgress, plan: Plan
    ) -> Iterator[Effect]:
        """End what was read to its stop, forget builds that are gone, and begin with those that wait."""
        done = {name: job for name, job in progress.jobs.items() if at >= job.stop}
        source = Source(topic, partition, history=True)
        if done:
            marks = [
                job.progress.mark(name, source, progress.partitions, Standing.DONE)
                for name, job in done.items()
                if name in plan.builds
            ]
            yield from self._aggregating.marks(marks, plan.offset)
        progress.jobs = {
            name: job for name, job in progress.jobs.items() if name not in done and name in plan.builds
        }
        if not progress.jobs and progress.waiting:
            progress.run = min(progress.waiting)
            progress.jobs = {
                name: Job(stop, Progress(begun=0, next=0))
                for name, stop in progress.waiting.items()
                if name in plan.builds
            }
            progress.waiting = {}
        if progress.jobs or progress.waiting:
            yield Put(HISTORIES, source_key(topic, partition), row_of(progress))
        else:
            yield Delete(HISTORIES, source_key(topic, partition))


def _histories(state: State) -> Iterator[tuple[str, int, HistoryProgress]]:
    for key, row in state.scan(HISTORIES, "", None):
        yield *parse_source_key(key), history_progress(row)


def _by_stop(progress: HistoryProgress, plan: Plan) -> Iterator[tuple[int, list[Compiled]]]:
    """Yield builds whose history ends at one offset: the same records are for all of them."""
    stops = {job.stop for job in progress.jobs.values()}
    for stop in sorted(stops):
        names = (name for name, job in progress.jobs.items() if job.stop == stop)
        yield stop, [plan.builds[name] for name in names if name in plan.builds]


def _before(chunk: Chunk, stop: int) -> Sequence[Record]:
    return chunk if chunk[-1].offset < stop else [record for record in chunk if record.offset < stop]


def _last_stop(progress: HistoryProgress) -> int:
    return max((job.stop for job in progress.jobs.values()), default=0)


def _news(source: Source, progress: HistoryProgress) -> Iterator[Mark]:
    for name, job in progress.jobs.items():
        if job.progress.is_news(progress.partitions, Standing.LIVE, job.stop):
            yield job.progress.mark(name, source, progress.partitions, Standing.LIVE, job.stop)
