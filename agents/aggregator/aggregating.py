"""Partial aggregates of the events of one source partition, for all builds that take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from agents.aggregator.decoding import Decoder
from agents.aggregator.domain.messages import Mark, Marks, Partial, Share, Source, Standing, encode
from agents.aggregator.domain.partials import Calculator, Outcome
from agents.aggregator.domain.progress import Progress
from agents.aggregator.domain.windowing import Window
from agents.aggregator.made_under import made_under
from fleet.lane import DeadLetter, Effect, Emit, Record, Redriven
from fleet.lane.dead_letters import PREFIX
from fleet.lane.partitioner import partition_of

if TYPE_CHECKING:
    from agents.aggregator.domain.plan import Compiled, Plan
    from fleet.lane import Chunk
    from fleet.lane.effects import Headers
    from schemas.codec import Codec

LATE: Final = "fleet.aggregator.late"
BUILD_HEADER: Final = "fleet_aggregation"
LETTER_BUILDS: Final = "aggregations"
"""Header, after its prefix, of a dead letter: the builds that lack the event, with commas between."""
MAX_MESSAGE_BYTES: Final = 400_000
MAX_REMEMBERED: Final = 100_000
MAX_WINDOWS_TOLD: Final = 20


class Origin(NamedTuple):
    """Where events come from, as far as it matters for what is made of them.

    Attributes:
        source: The source.
        partitions: Partitions of its topic.
        config_offset: Where the table of definitions stood.
        judged: Whether lateness is decided.
        stop: Where a history ends.
    """

    source: Source
    partitions: int
    config_offset: int
    judged: bool = True
    stop: int = 0


class Aggregating:
    """Makes partial aggregates and writes them to the topic of the second stage.

    Args:
        codec: Decodes events.
        topic: Topic of the partial aggregates.
        partitions: Its number of partitions.
    """

    def __init__(self, codec: Codec, topic: str, partitions: int) -> None:
        self._decoder = Decoder(codec)
        self._topic = topic
        self._partitions = partitions
        self._calculators: dict[str, Calculator] = {}
        self._partition_of: dict[str, int] = {}

    def run(
        self, builds: Mapping[Compiled, Progress], records: Sequence[Record], origin: Origin
    ) -> Iterator[Effect]:
        """Aggregate records for builds, and note in their progress how far they have got."""
        events, decoded, letters = self._decoder.events(builds, records)
        yield from (_letter(builds, each.record, each.reason, each.step, each.detail) for each in letters)
        for build, progress in builds.items():
            calculator = self._calculator(build)
            outcome = calculator.run(events, progress.watermark_ms, judge=origin.judged)
            progress.watermark_ms = outcome.watermark_ms
            progress.taken += outcome.taken
            progress.late += len(outcome.missed)
            progress.refused += len(outcome.refused)
            yield from self._partials(build, progress, outcome, decoded, origin)
            yield from _refused(build, outcome, decoded)
            yield from _late(build, outcome, decoded, progress)
            progress.next = records[-1].offset + 1

    def again(self, chunk: Chunk, plan: Plan) -> Iterator[Effect]:
        """Aggregate dead letters that came back, each for the builds that lack it, or for all."""
        for record in chunk:
            named = record.letter.get(LETTER_BUILDS) if isinstance(record, Redriven) else None
            builds = plan.by_source.get(record.topic, ())
            if named is not None:
                builds = tuple(build for build in builds if build.id in named.split(","))
            taking = {build: Progress(begun=record.offset, next=record.offset) for build in builds}
            origin = Origin(Source(record.topic, record.partition), 0, plan.offset, judged=False)
            yield from self.run(taking, [record], origin)

    def marks(self, marks: Sequence[Mark], config_offset: int) -> Iterator[Emit]:
        """Tell all partitions how far sources have got."""
        value, headers = encode(Marks(list(marks))), made_under(config_offset)
        for partition in range(self._partitions):
            yield Emit(self._topic, None, value, headers, partition)

    def _calculator(self, build: Compiled) -> Calculator:
        known = self._calculators.get(build.id)
        if known is None or known.build is not build:
            if len(self._calculators) >= MAX_REMEMBERED:
                self._calculators.clear()
            known = self._calculators[build.id] = Calculator(build)
        return known

    def _partials(
        self,
        build: Compiled,
        progress: Progress,
        outcome: Outcome,
        records: Sequence[Record],
        origin: Origin,
    ) -> Iterator[Effect]:
        by_partition: dict[int, dict[str, list[Share]]] = {}
        for group, shares in outcome.shares.items():
            by_partition.setdefault(self._place(group), {})[group] = shares
        mark = None
        if origin.judged:
            mark = progress.mark(build.id, origin.source, origin.partitions, Standing.LIVE, origin.stop)
        headers = made_under(origin.config_offset)
        for partition, groups in by_partition.items():
            partial = Partial(build.id, origin.source, groups, origin.judged, mark)
            for part in _fitting(partial):
                if isinstance(part, bytes):
                    yield Emit(self._topic, None, part, headers, partition, records[0])
                else:
                    progress.refused += len(outcome.places[part.group][part.at])
                    for place in outcome.places[part.group][part.at]:
                        yield _letter([build], records[place], "state_too_large", "functions", part.detail)

    def _place(self, group: str) -> int:
        known = self._partition_of.get(group)
        if known is None:
            if len(self._partition_of) >= MAX_REMEMBERED:
                self._partition_of.clear()
            known = self._partition_of[group] = partition_of(group.encode(), self._partitions)
        return known


class _TooLarge(NamedTuple):
    group: str
    at: int
    detail: str


def _fitting(partial: Partial) -> Iterator[bytes | _TooLarge]:
    """Yield the messages of a partial, cut where it is large, and the shares that are too large for any."""
    value = encode(partial)
    if len(value) <= MAX_MESSAGE_BYTES:
        yield value
        return
    batch: dict[str, list[Share]] = {}
    size, rest = 0, Partial(partial.build, partial.source, {}, partial.judged)
    for group, shares in partial.groups.items():
        for at, share in enumerate(shares):
            alone = len(encode(_with(rest, {group: [share]})))
            if alone > MAX_MESSAGE_BYTES:
                yield _TooLarge(
                    group, at, f"the state of {share[2]} events is over {MAX_MESSAGE_BYTES:,} bytes"
                )
                continue
            if size + alone > MAX_MESSAGE_BYTES:
                yield encode(_with(rest, batch))
                batch, size = {}, 0
            batch.setdefault(group, []).append(share)
            size += alone
    yield encode(Partial(partial.build, partial.source, batch, partial.judged, partial.mark))


def _with(partial: Partial, groups: dict[str, list[Share]]) -> Partial:
    return Partial(partial.build, partial.source, groups, partial.judged)


def _refused(build: Compiled, outcome: Outcome, records: Sequence[Record]) -> Iterator[Effect]:
    for place, refusal in sorted(outcome.refused.items()):
        detail = f"{build.definition.name}: {refusal.detail}"
        yield _letter([build], records[place], refusal.reason, refusal.step, detail)


def _letter(builds: Iterable[Compiled], record: Record, reason: str, step: str, detail: str) -> DeadLetter:
    names = ",".join(sorted(build.id for build in builds))
    return DeadLetter(record, reason, step, detail, ((f"{PREFIX}{LETTER_BUILDS}", names.encode()),))


def _late(
    build: Compiled, outcome: Outcome, records: Sequence[Record], progress: Progress
) -> Iterator[Effect]:
    for place, windows in sorted(outcome.missed.items()):
        record = records[place]
        told = late_headers(build.id, "after_close", windows, progress.watermark_ms)
        source = f"{record.topic}/{record.partition}/{record.offset}"
        told = (*told, ("fleet_late_source", source.encode()))
        yield Emit(LATE, record.key, record.value, (*record.headers, *told), None, record)


def late_headers(build: str, reason: str, windows: Iterable[Window], watermark_ms: int | None) -> Headers:
    """Return the headers that say of what is late why, for which build and which windows.

    Args:
        build: Id of the build.
        reason: ``after_close``, ``idle_source`` or ``sent_again``.
        windows: Windows that it came too late for; the first `MAX_WINDOWS_TOLD` are named.
        watermark_ms: How far event time had got, epoch milliseconds.
    """
    spans = [f"{iso(each.start_ms)}/{iso(each.end_ms)}" for each in [*windows][:MAX_WINDOWS_TOLD]]
    return (
        (BUILD_HEADER, build.encode()),
        ("fleet_late_reason", reason.encode()),
        ("fleet_late_windows", ",".join(spans).encode()),
        ("fleet_late_watermark", b"" if watermark_ms is None else iso(watermark_ms).encode()),
    )


def iso(time_ms: int) -> str:
    """Return a time as RFC 3339, or as number of milliseconds where no calendar has it."""
    try:
        return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return str(time_ms)
