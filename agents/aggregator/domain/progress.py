"""How far the first stage has got: a row for each source partition."""

from __future__ import annotations

from typing import Any

import msgspec

from agents.aggregator.domain.messages import Mark, Source, Standing

MAX_GAPS = 20


class Progress(msgspec.Struct, omit_defaults=True):
    """How far a build has got in a source.

    Attributes:
        begun: First offset that it took.
        next: Offset after the last that it took.
        watermark_ms: The greatest event time so far, epoch milliseconds.
        taken: Events that are in a window.
        late: Events that missed a window.
        refused: Events that became dead letters of the build.
        gaps: Offsets from and to of what it did not take because it was paused, the last `MAX_GAPS`.
        paused: Whether it did not take the last events.
        told: Watermark, and what else a mark says, that all partitions were told last.
    """

    begun: int
    next: int
    watermark_ms: int | None = None
    taken: int = 0
    late: int = 0
    refused: int = 0
    gaps: list[tuple[int, int]] = []
    paused: bool = False
    told: tuple[int | None, str] | None = None

    def resume(self, offset: int) -> None:
        """Note that events are taken from `offset` on, after a pause."""
        if self.paused:
            self.gaps = [*self.gaps, (self.next, offset)][-MAX_GAPS:]
            self.paused = False

    def mark(self, build: str, source: Source, partitions: int, standing: Standing, stop: int = 0) -> Mark:
        """Return what is told of it; `stop` is where a history ends."""
        left = 0 if standing is Standing.DONE else max(0, stop - self.next)
        return Mark(build, source, partitions, self.watermark_ms, standing, self.late, self.refused, left)

    def is_news(self, partitions: int, standing: Standing, stop: int = 0) -> bool:
        """Return whether a mark of it says what not all partitions were told yet, and note that they are."""
        left = max(0, stop - self.next)
        news = self.watermark_ms, f"{standing.value}/{partitions}/{self.late}/{self.refused}/{left}"
        if self.told == news:
            return False
        self.told = news
        return True


class SourceProgress(msgspec.Struct, omit_defaults=True):
    """How far builds have got in a source that is read as its events come.

    Attributes:
        partitions: Partitions of its topic.
        seen_ms: When its last events came, by the wall clock, epoch milliseconds.
        idle: Whether it was declared idle.
        builds: By id of the build.
    """

    partitions: int
    seen_ms: int
    idle: bool = False
    builds: dict[str, Progress] = {}


class Job(msgspec.Struct, omit_defaults=True):
    """The history of a build in one partition.

    Attributes:
        stop: Offset at which it ends.
        progress: How far it has got.
    """

    stop: int
    progress: Progress


class HistoryProgress(msgspec.Struct, omit_defaults=True):
    """How far the history of one partition is read; builds that begin together are read for together.

    Attributes:
        partitions: Partitions of its topic.
        run: Names the reading: id of one of its builds.
        jobs: Of the builds that it is read for now, by id.
        waiting: Where the history of builds ends that it is read for next, by id.
    """

    partitions: int
    run: str = ""
    jobs: dict[str, Job] = {}
    waiting: dict[str, int] = {}


def source_key(topic: str, partition: int) -> str:
    """Return the key of the row of a source partition."""
    return f"{topic}/{partition}"


def parse_source_key(key: str) -> tuple[str, int]:
    """Return topic and partition of a row.

    Raises:
        ValueError: It is no such key.
    """
    topic, _, partition = key.rpartition("/")
    return topic, int(partition)


def source_progress(row: Any) -> SourceProgress:
    """Return a row as what it is."""
    return msgspec.convert(row, SourceProgress)


def history_progress(row: Any) -> HistoryProgress:
    """Return a row as what it is."""
    return msgspec.convert(row, HistoryProgress)


def row_of(progress: SourceProgress | HistoryProgress) -> Any:
    """Return the row of progress."""
    return msgspec.to_builtins(progress)
