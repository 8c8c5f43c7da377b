"""What a dry-run is to do, and what it tells of its progress."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec

Document: TypeAlias = dict[str, Any]

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_Offset = Annotated[int, msgspec.Meta(ge=0)]
_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the retained events are looked at; all of them by default.

    Attributes:
        topics: Source topics; all that the router reads where none is named.
        partitions: Partitions of them; all where none is named.
        since: From the first event that was published then or later.
        until: To the first event that was published then or later, which is not looked at.
        from_offset: First offset of each partition.
        until_offset: Offset of each partition that comes after the last.
        sample: Share of the events that are looked at: always the same ones, by their coordinates.
    """

    topics: tuple[str, ...] = ()
    partitions: tuple[_Offset, ...] = ()
    since: _Instant | None = None
    until: _Instant | None = None
    from_offset: _Offset | None = None
    until_offset: _Offset | None = None
    sample: _Share = 1.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """All that the process of a dry-run is told.

    Attributes:
        range: The events; its topics are named.
        baseline: The rules as they are, deleted ones left out.
        draft: The rules as they would be.
        offset: Next offset of the rules topic, as of both.
        schemas: Schemas that nobody has registered yet, by the id that rules of the draft have for them.
    """

    range: Range
    baseline: tuple[Document, ...]
    draft: tuple[Document, ...]
    offset: int = 0
    schemas: dict[int, Document] = {}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a dry-run is.

    Attributes:
        done: Offsets that it has passed.
        total: Offsets of its range; gaps that transactions leave are among them.
        events: Events looked at so far.
        events_per_s: Events read a second, since its first.
    """

    done: int = 0
    total: int = 0
    events: int = 0
    events_per_s: float = 0.0


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line that the process of a dry-run writes: one of these.

    Attributes:
        progress: How far it is.
        report: What it found; its last line.
        failed: Why it cannot go on; its last line.
    """

    progress: Progress | None = None
    report: Document | None = None
    failed: str = ""
