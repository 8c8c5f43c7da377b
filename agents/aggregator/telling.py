"""What the second stage writes to other topics: results, what came late, what a row cannot hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from agents.aggregator.aggregating import BUILD_HEADER, LATE, LETTER_BUILDS, late_headers
from agents.aggregator.domain.closing import Found
from agents.aggregator.domain.merging import ROW_TOO_LARGE, Groups
from agents.aggregator.domain.messages import Partial, encode
from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.rows import ROWS, Progress, Row, RowKey
from agents.aggregator.domain.windowing import ALL_TIME, Window
from agents.aggregator.domain.windowing.window import MAX_MS
from agents.aggregator.results import Results
from fleet.errors import PermanentError
from fleet.lane import DeadLetter, Effect, Emit, Record
from fleet.lane.dead_letters import PREFIX
from fleet.lane.effects import Headers
from schemas.envelope import EventAttributes
from tables.aggregations.definition import OutputMode

SOURCE: Final = "/agents/aggregator"
LATE_COUNT: Final = "fleet_late_count"
IDLE_SOURCE: Final = "idle_source"
SENT_AGAIN: Final = "sent_again"


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Stands in for a source record of which only a part is set aside.

    What is sent again then is that part alone: the rest was counted.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    attempt: int = 1


def wants_updates(build: Compiled) -> bool:
    """Return whether changes of its rows are written."""
    output = build.definition.output
    return build.serves and bool(output.topic) and output.mode is not OutputMode.FINALS


def wants_finals(build: Compiled, progress: Progress) -> bool:
    """Return whether a final is written for each row that closes."""
    output = build.definition.output
    return progress.serves and bool(output.topic) and output.mode is not OutputMode.UPDATES


def update(
    results: Results, build: Compiled, key: RowKey, row: Row, progress: Progress, now_ms: int
) -> Emit | None:
    """Return the update of a row; None where it cannot be written, which is counted."""
    step = str(row.events)
    try:
        value = results.encoded(build, key, row, progress.watermark_ms, final=False)
    except PermanentError as error:
        _note(progress, error)
        return None
    return _result(build, key, value, step, now_ms)


def final(results: Results, build: Compiled, found: Found, progress: Progress, now_ms: int) -> Emit | None:
    """Return the final of a row that has closed; None where it cannot be written, which is counted.

    Its watermark is the one that closed it: the same whenever it is written.
    """
    closes_ms = build.windows.closes_at(found.key.window)
    try:
        value = results.encoded(build, found.key, found.row, closes_ms, final=True)
    except PermanentError as error:
        _note(progress, error)
        return None
    return _result(build, found.key, value, "final", now_ms)


def _note(progress: Progress, error: PermanentError) -> None:
    progress.unwritten += 1
    progress.problem = error.message


def _result(build: Compiled, key: RowKey, value: bytes, step: str, now_ms: int) -> Emit:
    topic, group, window = build.definition.output.topic, key.group.encode(), key.window
    attributes = EventAttributes(
        id=f"{build.id}/{key.group}/{window.key}/{step}",
        source=SOURCE,
        type=topic,
        time=_end_of(window),
        subject=key.group,
    )
    headers = (*attributes.headers(), (BUILD_HEADER, build.id.encode()))
    # No record alone made it: should the topic refuse it, the result itself is set aside.
    cause = Piece(ROWS, 0, -1, now_ms, group, value, headers)
    return Emit(topic, group, value, headers, None, cause)


def _end_of(window: Window) -> datetime | None:
    if window == ALL_TIME or window.end_ms == MAX_MS:
        return None
    try:
        return datetime.fromtimestamp(window.end_ms / 1_000, UTC)
    except (OverflowError, ValueError):
        return None


def late(record: Record, partial: Partial, groups: Groups, watermark_ms: int | None) -> list[Effect]:
    """Return what tells of shares whose window had closed: how many events, and why."""
    reason = IDLE_SOURCE if partial.judged else SENT_AGAIN
    found: list[Effect] = []
    for group, shares in groups.items():
        for share in shares:
            piece = _piece(record, partial, {group: [share]})
            told = late_headers(partial.build, reason, [Window(share[0], share[1])], watermark_ms)
            headers: Headers = (*told, (LATE_COUNT, str(share[2]).encode()))
            found.append(Emit(LATE, group.encode(), piece.value, headers, None, piece))
    return found


def too_large(record: Record, partial: Partial, groups: Groups) -> DeadLetter:
    """Return the dead letter of shares that a row cannot hold."""
    build = partial.build
    detail = (
        f"build {build}: rows of {len(groups)} group(s) would be too large; aggregate finer or collect less"
    )
    added = ((f"{PREFIX}{LETTER_BUILDS}", build.encode()),)
    return DeadLetter(_piece(record, partial, groups), ROW_TOO_LARGE, "merge", detail, added)


def _piece(record: Record, partial: Partial, groups: Groups) -> Piece:
    """Return a part of a partial; sent again, its shares are late if their windows have closed by then."""
    part = encode(Partial(partial.build, partial.source, groups, judged=False))
    attempt: Any = getattr(record, "attempt", 1)
    return Piece(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        part,
        tuple(record.headers),
        attempt,
    )
