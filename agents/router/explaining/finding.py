"""Finds an event: at its coordinates, or by its id, backwards from the newest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agents.router.dry_run.job import Range
from agents.router.dry_run.reading import Reading, Span, spans_of
from fleet.lane import select_headers
from fleet.lane.reading import open_reader, read_one
from tables.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from aiokafka import AIOKafkaConsumer

    from fleet.lane import LaneConfig, Record

WINDOW: Final = 10_000
"""Offsets of a partition that are looked at together."""

MAX_LOOKED_AT: Final = 500_000
_identity = select_headers(["ce_id", "ce_source"])


@dataclass(slots=True)
class Search:
    """How far a search by id went.

    Attributes:
        found: Events of that id, the newest first.
        looked_at: Events that were looked at.
        back_to_ms: When the oldest of them was published.
        is_whole: Whether there was nothing more to look at.
    """

    found: list[Record] = field(default_factory=list)
    looked_at: int = 0
    back_to_ms: int | None = None
    is_whole: bool = False

    def report(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "looked_at": self.looked_at,
            "back_to_ms": self.back_to_ms,
            "is_whole": self.is_whole,
            "further": [
                {"topic": each.topic, "partition": each.partition, "offset": each.offset}
                for each in self.found[1:]
            ],
        }


async def at(config: LaneConfig, sources: Collection[str], topic: str, partition: int, offset: int) -> Record:
    """Return the event at these coordinates.

    Raises:
        InvalidInputError: The router does not read the topic.
        NotFoundError: There is no committed event there, or it is deleted.
        TransientError: Kafka does not answer.
    """
    if topic not in sources:
        hint = f"it reads {', '.join(sorted(sources))}"
        raise InvalidInputError(f"the router does not read {topic!r}", field="topic", hint=hint)
    record: Any = await read_one(config, topic, partition, offset)
    if record is None:
        hint = "it may be deleted, or be that of a transaction's marker"
        raise NotFoundError(f"no event at {topic} {partition} {offset}", hint=hint)
    found: Record = record
    return found


async def by_id(
    config: LaneConfig,
    sources: Collection[str],
    event_id: str,
    source: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> Search:
    """Look for the newest event of an id.

    Args:
        config: How to reach Kafka.
        sources: Topics to look in.
        event_id: CloudEvents id.
        source: CloudEvents source; empty for any.
        since: Look at those alone that were published then or later.
        until: And before then.

    Raises:
        NotFoundError: It is not among those that were looked at; says how far that was.
        TransientError: Kafka does not answer.
    """
    search = Search()
    async with open_reader(config) as reader:
        asked = Range(topics=tuple(sources), since=since, until=until)
        spans = await spans_of(config, reader, asked)
        ends = {span: span.end for span in spans}
        while not search.found and search.looked_at < MAX_LOOKED_AT:
            windows = [
                Span(span.topic, span.partition, max(span.start, end - WINDOW), end)
                for span, end in ends.items()
                if end > span.start
            ]
            if not windows:
                search.is_whole = True
                break
            await _look(reader, windows, event_id.encode(), source.encode(), search)
            ends = {span: max(span.start, end - WINDOW) for span, end in ends.items()}
    if not search.found:
        raise _unfound(event_id, search)
    search.found.sort(key=lambda record: record.timestamp, reverse=True)
    return search


async def _look(
    reader: AIOKafkaConsumer, windows: list[Span], event_id: bytes, source: bytes, search: Search
) -> None:
    async for records in Reading(reader, windows).pieces():
        search.looked_at += len(records)
        for record in records:
            found_id, found_source = _identity(record)
            if found_id == event_id and source in (b"", found_source):
                search.found.append(record)
        if records:
            oldest = min(record.timestamp for record in records)
            search.back_to_ms = oldest if search.back_to_ms is None else min(search.back_to_ms, oldest)


def _unfound(event_id: str, search: Search) -> NotFoundError:
    message = f"no event of id {event_id!r} among {search.looked_at:,}"
    if search.is_whole:
        return NotFoundError(
            f"{message}, all there are", hint="it may be deleted; widen the time, if you named one"
        )
    return NotFoundError(
        f"{message}, the newest", hint="name a time, `since` and `until`, or its coordinates"
    )
