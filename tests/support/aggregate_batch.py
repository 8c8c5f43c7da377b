"""What an aggregation has to give, recomputed by DuckDB from the whole log at once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, TypeAlias

import duckdb

from tests.support.aggregate_events import Logged
from tests.support.aggregate_functions import Asked

Row: TypeAlias = dict[str, Any]

_COLUMNS: Final = {
    "topic": "varchar",
    "partition": "integer",
    "offset": "bigint",
    "live": "boolean",
    "time_ms": "bigint",
    "order_id": "varchar",
    "article": "varchar",
    "customer": "varchar",
    "region": "varchar",
    "amount": "decimal(12, 2)",
    "fee": "decimal(9, 4)",
    "items": "bigint",
    "weight": "double",
    "score": "double",
    "express": "boolean",
    "token": "varchar",
    "placed_at": "varchar",
    "shipped_at": "varchar",
}
_AS: Final = {
    "token": "unhex(token)",
    "placed_at": "placed_at::timestamptz",
    "shipped_at": "shipped_at::timestamptz",
}
_HOPS: Final = """
    unnest(range(
        time_ms - (time_ms - {offset}) % {hop} - {hop} * ({size} // {hop}), time_ms + 1, {hop}
    )) as window_start, window_start + {size} as window_end
"""
_DAYS: Final = """
    date_trunc('{unit}', timezone('{zone}', make_timestamptz(time_ms * 1000))) as local,
    epoch_ms(timezone('{zone}', local)) as window_start,
    epoch_ms(timezone('{zone}', local + interval 1 {unit})) as window_end
"""
_TAKEN: Final = """
    with seen as (
        select *, max(time_ms) over (
            partition by topic, "partition", live order by "offset"
            rows between unbounded preceding and 1 preceding
        ) as before_ms
        from events where list_contains($sources, topic)
    ), placed as (
        select *, {windows}, {groups} from seen where {filter}
    ), judged as (
        select *, coalesce(before_ms >= window_end + {grace}, false) as late
        from placed where window_end is null or (window_start <= time_ms and time_ms < window_end)
    )
"""
_SESSIONS: Final = """
    , begun as (
        select *, coalesce(time_ms >= {gap} + lag(time_ms) over (
            partition by {names} order by time_ms, topic, "partition", "offset"
        ), true) as begins
        from judged where not late
    ), numbered as (
        select * exclude (window_start, window_end), sum(begins::int) over (
            partition by {names} order by time_ms, topic, "partition", "offset"
            rows between unbounded preceding and current row
        ) as number from begun
    ), admitted as (
        select *, min(time_ms) over (partition by {names}, number) as window_start,
            max(time_ms) over (partition by {names}, number) + {gap} as window_end
        from numbered
    )
"""
_ADMITTED: Final = ", admitted as (select * from judged where not late)"


class Cell(NamedTuple):
    """A group in a window; times are epoch milliseconds, None without windows.

    Attributes:
        group: Parts of the group key.
        start_ms: Start of the window.
        end_ms: Its end.
    """

    group: tuple[Any, ...]
    start_ms: int | None
    end_ms: int | None


class Missed(NamedTuple):
    """An event that was too late for a window.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        offset: Its place there.
        start_ms: Start of the window; for sessions that of the event alone.
    """

    topic: str
    partition: int
    offset: int
    start_ms: int


@dataclass(frozen=True)
class Question:
    """A calculation as a definition has it, and in SQL.

    Attributes:
        document: Fields of the definition: sources, group_by, windows, grace_ms, filter, functions.
        groups: SQL of each part of the group key, by name.
        functions: The functions.
        filter: Its condition in SQL.
    """

    document: Mapping[str, Any]
    groups: Mapping[str, str]
    functions: Sequence[Asked]
    filter: str = "true"
    windows: Mapping[str, Any] = field(default_factory=lambda: {"kind": "none"})

    @property
    def grace_ms(self) -> int:
        """How long a window waits for late events."""
        return int(self.document.get("grace_ms", 0))


class Batch:
    """All events, to be asked.

    Args:
        events: Events in any order; each knows its place in the log.
        begun: First offset that a build took as it came, by topic and partition: what is before is its
            history, whose events are late by themselves.
    """

    def __init__(self, events: Iterable[Logged], begun: Mapping[tuple[str, int], int] | None = None) -> None:
        self._database = duckdb.connect()
        self._database.execute("set timezone = 'UTC'")
        with TemporaryDirectory() as folder:
            file = Path(folder) / "events.json"
            file.write_text("".join(_line(each, begun or {}) for each in events))
            columns = ", ".join(f"'{name}': '{kind}'" for name, kind in _COLUMNS.items())
            replaced = ", ".join(f"{sql} as {name}" for name, sql in _AS.items())
            self._database.execute(
                f"create table events as select * replace ({replaced})"  # noqa: S608 - columns are written above
                f" from read_json('{file}', format = 'newline_delimited', columns = {{{columns}}})"
            )

    def results(self, question: Question) -> dict[Cell, Row]:
        """Return the right result of each function by its name, for each group and window."""
        names = ", ".join(map(_alias, question.groups))
        functions = ", ".join(each.sql for each in question.functions)
        rows = self._rows(
            question,
            f"select {names}, window_start, window_end, {functions} from admitted group by all",  # noqa: S608
        )
        groups = len(question.groups)
        return {
            Cell(row[:groups], row[groups], row[groups + 1]): {
                each.name: each.answer(found)
                for each, found in zip(question.functions, row[groups + 2 :], strict=True)
            }
            for row in rows
        }

    def finals(self, question: Question) -> dict[Cell, Row]:
        """Return the right results of the windows that have closed when all events have come."""
        watermark_ms = self.watermark_ms(question.document["sources"])
        waits_ms = question.grace_ms + question.windows.get("gap_ms", 0)
        return {
            cell: row
            for cell, row in self.results(question).items()
            if cell.end_ms is not None and cell.end_ms + waits_ms <= watermark_ms
        }

    def missed(self, question: Question) -> list[Missed]:
        """Return the events that were too late, once for each window that they missed."""
        sql = 'select topic, "partition", "offset", window_start from judged where late order by all'
        return [Missed(*row) for row in self._rows(question, sql)]

    def watermark_ms(self, sources: Sequence[str]) -> int:
        """Return the least of what the partitions of some topics have got to."""
        sql = """
            select min(most) from (
                select max(time_ms) as most from events
                where list_contains($sources, topic) group by topic, "partition"
            )
        """
        return int(self._database.execute(sql, {"sources": list(sources)}).fetchall()[0][0])

    def _rows(self, question: Question, sql: str) -> list[tuple[Any, ...]]:
        taken = _TAKEN.format(
            windows=_windows(question.windows),
            groups=", ".join(f"{text} as {_alias(name)}" for name, text in question.groups.items()),
            filter=question.filter,
            grace=question.grace_ms,
        )
        admitted = _ADMITTED
        if question.windows["kind"] == "session":
            admitted = _SESSIONS.format(
                gap=question.windows["gap_ms"], names=", ".join(map(_alias, question.groups))
            )
        sources = {"sources": list(question.document["sources"])}
        return self._database.execute(f"{taken}{admitted}{sql}", sources).fetchall()


def _alias(name: str) -> str:
    return f"by_{name}"


def _windows(windows: Mapping[str, Any]) -> str:
    match windows["kind"]:
        case "tumbling":
            size, offset = windows["size_ms"], windows.get("offset_ms", 0)
            found = _HOPS.format(size=size, hop=size, offset=offset)
        case "hopping":
            size, hop, offset = windows["size_ms"], windows["hop_ms"], windows.get("offset_ms", 0)
            found = _HOPS.format(size=size, hop=hop, offset=offset)
        case "session":
            found = f"time_ms as window_start, time_ms + {windows['gap_ms']} as window_end"
        case "calendar":
            found = _DAYS.format(unit=windows["unit"], zone=windows.get("time_zone", "UTC"))
        case _:
            found = "null::bigint as window_start, null::bigint as window_end"
    return found


def _line(event: Logged, begun: Mapping[tuple[str, int], int]) -> str:
    place = {"topic": event.topic, "partition": event.partition, "offset": event.offset}
    place |= {"live": event.offset >= begun.get((event.topic, event.partition), 0)}
    written = {name: _plain(value) for name, value in event.order.items()}
    return f"{json.dumps({**place, 'time_ms': event.time_ms, **written})}\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value
