"""The watermark of a build: the least of what its sources have reached, and never less than before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from agents.aggregator.domain.messages import Mark, Source, Standing
from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.rows import Heard, Progress, source_key
from agents.aggregator.domain.windowing.window import MAX_MS

_NEVER: Final = Heard(None, Standing.IDLE)


class Holding(NamedTuple):
    """A source that a watermark waits for.

    Attributes:
        source: The source; of a topic that was never heard of, partition 0 stands for all.
        watermark_ms: How far it has got; None where it was not heard of, or had no event yet.
        heard: Whether it was heard of.
    """

    source: Source
    watermark_ms: int | None
    heard: bool


def hear(progress: Progress, mark: Mark, build: Compiled) -> None:
    """Take in what a source of a build says, and move the watermark; what either has reached stays."""
    key, topic = source_key(mark.source), mark.source.topic
    before = progress.sources.get(key, _NEVER)
    reached = mark.watermark_ms
    if before.watermark_ms is not None:
        reached = before.watermark_ms if reached is None else max(reached, before.watermark_ms)
    late, refused = max(mark.late, before.late), max(mark.refused, before.refused)
    progress.sources[key] = Heard(reached, mark.standing, late, refused, mark.left)
    progress.partitions[topic] = max(mark.partitions, progress.partitions.get(topic, 0))
    # A source that was ahead of the others was not what held the watermark.
    ahead = before.watermark_ms is not None and before.watermark_ms > _least(progress)
    if not ahead or before.standing is not Standing.LIVE:
        advance(progress, build)


def advance(progress: Progress, build: Compiled) -> None:
    """Move the watermark of a build to where its sources are.

    A source that is idle or done holds nothing up; while all are, the watermark stays. One that was never
    heard of, or has had no event yet, holds it where it is.
    """
    least: int | None = None
    for each in holding(progress, build):
        if each.watermark_ms is None:
            return
        if least is None or each.watermark_ms < least:
            least = each.watermark_ms
    if least is not None and (progress.watermark_ms is None or least > progress.watermark_ms):
        progress.watermark_ms = least


def holding(progress: Progress, build: Compiled) -> Iterator[Holding]:
    """Yield the sources whose least the watermark is: all but those that are idle or done."""
    sources = progress.sources
    kinds = (False, True) if build.has_history else (False,)
    for topic in build.build.sources:
        partitions = progress.partitions.get(topic)
        for history in kinds:
            for partition in range(partitions or 1):
                source = Source(topic, partition, history)
                heard = None if partitions is None else sources.get(source_key(source))
                if heard is None:
                    yield Holding(source, None, heard=False)
                elif heard.standing is Standing.LIVE:
                    yield Holding(source, heard.watermark_ms, heard=True)


def _least(progress: Progress) -> int:
    return MAX_MS if progress.watermark_ms is None else progress.watermark_ms
