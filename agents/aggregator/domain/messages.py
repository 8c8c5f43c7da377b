"""What the first stage tells the second: partial aggregates, and how far each source has got.

Both go through one topic, in order for each source partition and partition of the topic: what a mark says is
true of all partials before it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec


class Standing(Enum):
    """How a source stands: events may come, none have come for a while, or none will come any more."""

    LIVE = "live"
    IDLE = "idle"
    DONE = "done"


class Source(NamedTuple):
    """One partition that a build reads, as a source of watermarks.

    Attributes:
        topic: Event type.
        partition: Partition of its topic.
        history: Whether this is what was there before the build began, which is read beside what comes.
    """

    topic: str
    partition: int
    history: bool = False


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How far a source has got for a build.

    Attributes:
        build: Id of the build.
        source: The source.
        partitions: Partitions of its topic: marks of all of them are needed.
        watermark_ms: The greatest event time so far, epoch milliseconds; None before the first event.
        standing: Whether it holds windows open: one that is idle or done does not.
        late: Events of it so far that missed a window.
        refused: Events of it so far that became dead letters of the build.
        left: Offsets of a history that are still to be read.
    """

    build: str
    source: Source
    partitions: int
    watermark_ms: int | None
    standing: Standing = Standing.LIVE
    late: int = 0
    refused: int = 0
    left: int = 0


Share: TypeAlias = tuple[int, int, int, list[Any]]
"""Start and end of a window, epoch milliseconds, number of events, state of each function of the build."""


class Partial(msgspec.Struct, frozen=True, tag="partial"):
    """Aggregates of some events of one source for one build, all of groups of one partition.

    Attributes:
        build: Id of the build.
        source: The source.
        groups: Shares by group, as `agents.aggregator.domain.groups` writes them.
        judged: Whether lateness was decided; where it was not, events are late if their window has closed.
        mark: How far the source has got with them; None where more partials of the same events follow.
    """

    build: str
    source: Source
    groups: dict[str, list[Share]]
    judged: bool = True
    mark: Mark | None = None


class Marks(msgspec.Struct, frozen=True, tag="marks"):
    """How far sources have got, to all partitions."""

    marks: list[Mark]


class Begun(msgspec.Struct, frozen=True):
    """Where a build began in one partition: what is before is its history.

    Attributes:
        build: Id of the build.
        topic: Event type.
        partition: Partition of its topic.
        partitions: Partitions of its topic.
        offset: First offset that the build took as it came.
    """

    build: str
    topic: str
    partition: int
    partitions: int
    offset: int


Message: TypeAlias = Partial | Marks

_ENCODER: Final = msgspec.json.Encoder()
_MESSAGES: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Partial | Marks)
_BEGUN: Final = msgspec.json.Decoder(Begun)


def encode(message: Message | Begun) -> bytes:
    """Return a message as it is written to its topic."""
    return _ENCODER.encode(message)


def decode(value: bytes) -> Message:
    """Return what `encode` made `value` of.

    Raises:
        msgspec.MsgspecError: It is none.
    """
    return _MESSAGES.decode(value)


def decode_begun(value: bytes) -> Begun:
    """Return the `Begun` that `encode` made `value` of.

    Raises:
        msgspec.MsgspecError: It is none.
    """
    return _BEGUN.decode(value)
