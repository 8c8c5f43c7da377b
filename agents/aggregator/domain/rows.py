"""The tables of the second stage: their names, the keys of their rows, and what a row holds.

The times of a window come end first in keys. Windows of one group have the same order by end as by start, and
by end those that a session could join, those that close and those that expire are each a short scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from agents.aggregator.domain.functions import State
from agents.aggregator.domain.messages import Source, Standing
from agents.aggregator.domain.windowing import Window, parse_time_key, time_key

ROWS: Final = "aggregates"
"""``<build>|<group>|<window>``: what is known of a group in a window."""
INDEX: Final = "aggregate-windows"
"""``<build>|<window>|<group>``: which rows there are, in the order in which they close and expire."""
PENDING: Final = "aggregate-pending"
"""``<due>|<key of the row>``: updates to be written, by the wall clock."""
BUILDS: Final = "aggregate-builds"
"""``<partition>/<build>``: how far a build has got in a partition; without a build, the partition's own."""
TABLES: Final = (ROWS, INDEX, PENDING, BUILDS)

HISTORY: Final = "#history"
"""How the key of a source ends that is what was there before a build began."""

_TIMES: Final = 32


class Row(NamedTuple):
    """A row of `ROWS`; in the table it is a JSON array.

    Attributes:
        events: How many events it is of.
        states: State of each function of the build.
        size_bytes: What it counts towards the quota: its key and its states.
        told_ms: Wall clock when an update of it was written last, epoch milliseconds; 0 for never.
        due_ms: When an update of it is due that was put off, or was; 0 for never.
    """

    events: int
    states: Sequence[State]
    size_bytes: int
    told_ms: int = 0
    due_ms: int = 0

    @classmethod
    def of(cls, value: Any) -> Row:
        """Return what the table holds as a row."""
        return cls._make(value)


class Heard(NamedTuple):
    """What a source said last.

    Attributes:
        watermark_ms: The greatest event time so far, epoch milliseconds; None before the first event.
        standing: As of `Mark`, as the others.
        late: How many of its events were late.
        refused: How many became dead letters.
        left: Offsets of a history that are still to be read.
    """

    watermark_ms: int | None
    standing: Standing
    late: int = 0
    refused: int = 0
    left: int = 0


class Progress(msgspec.Struct, kw_only=True):
    """A row of `BUILDS`, in the table a JSON object: how far a build has got in one partition.

    Attributes:
        sources: What each source of it said last, by `source_key`.
        partitions: Partitions of its topics; those never heard of are not in it.
        watermark_ms: All events before it have come, or are late; None before that is known.
        serves: Whether it writes finals here: one build of an aggregation does.
        closed: Up to which row of the index finals are written: the part of the key after the build.
        expired: Up to which row of the index rows are gone.
        behind: Whether more is to be closed or to expire than one transaction took.
        keys: How many rows it has here.
        size_bytes: What they count towards the quota.
        late: Events that came after their window had closed.
        refused: Events that were not counted: of new keys over the quota, or for a row too large to be kept.
        over_quota: Whether new keys are refused.
        unwritten: Results that could not be written.
        problem: Why an event was refused or a result not written, last; empty for never.
        config_offset: The newest state of the definitions that it was changed under.
        purged: Up to which of its rows it has been deleted; empty while it is there.
    """

    sources: dict[str, Heard] = msgspec.field(default_factory=dict)
    partitions: dict[str, int] = msgspec.field(default_factory=dict)
    watermark_ms: int | None = None
    serves: bool = False
    closed: str = ""
    expired: str = ""
    behind: bool = False
    keys: int = 0
    size_bytes: int = 0
    late: int = 0
    refused: int = 0
    over_quota: bool = False
    unwritten: int = 0
    problem: str = ""
    config_offset: int = 0
    purged: str = ""

    @classmethod
    def of(cls, value: Any) -> Progress:
        """Return what the table holds, or None for nothing yet, as progress that may be changed."""
        return cls() if value is None else msgspec.convert(value, cls)

    def row(self) -> dict[str, Any]:
        """Return it as the table holds it."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class RowKey(NamedTuple):
    """What a key of `ROWS` or of `INDEX` says."""

    build: str
    group: str
    window: Window

    @property
    def in_rows(self) -> str:
        """Key in `ROWS`."""
        return row_key(self.build, self.group, self.window)

    @property
    def in_index(self) -> str:
        """Key in `INDEX`."""
        return index_key(self.build, self.window, self.group)


def row_key(build: str, group: str, window: Window) -> str:
    """Return the key of a row: no key of one group begins another's, whatever the group's text holds."""
    return f"{group_prefix(build, group)}{window_key(window)}"


def group_prefix(build: str, group: str) -> str:
    """Return what the keys of a group's rows begin with; in their order windows go by time."""
    return f"{build}|{group}|"


def index_key(build: str, window: Window, group: str) -> str:
    """Return the key of a row in the index."""
    return f"{window_prefix(build, window)}{group}"


def window_prefix(build: str, window: Window) -> str:
    """Return what the keys of a window's rows in the index begin with."""
    return f"{build}|{window_key(window)}|"


def build_prefix(build: str) -> str:
    """Return what the keys of a build's rows begin with, in the index too."""
    return f"{build}|"


def build_end(build: str) -> str:
    """Return the least text after all that begin with `build_prefix`."""
    return f"{build}}}"


def window_key(window: Window) -> str:
    """Return a window as keys have it, its end first."""
    return f"{time_key(window.end_ms)}{time_key(window.start_ms)}"


def parse_row_key(key: str) -> RowKey:
    """Return what a key of `ROWS` says.

    Raises:
        ValueError: It is none.
    """
    build, group = key[: -_TIMES - 1].split("|", 1)
    return RowKey(build, group, _window(key[-_TIMES:]))


def parse_index_key(key: str) -> RowKey:
    """Return what a key of `INDEX` says.

    Raises:
        ValueError: It is none.
    """
    build, times, group = key.split("|", 2)
    return RowKey(build, group, _window(times))


def pending_key(due_ms: int, key: str) -> str:
    """Return the key of a pending update of the row of `key`."""
    return f"{time_key(due_ms)}|{key}"


def parse_pending_key(key: str) -> tuple[int, str]:
    """Return when an update is due, and the key of its row.

    Raises:
        ValueError: It is no key of `PENDING`.
    """
    due, row = key.split("|", 1)
    return parse_time_key(due), row


def group_of(table: str, key: str) -> str:
    """Return the group of a row of a table that goes by group, which gives the partition.

    Raises:
        KeyError: It is no such key.
    """
    try:
        if table == INDEX:
            return parse_index_key(key).group
        return parse_row_key(parse_pending_key(key)[1] if table == PENDING else key).group
    except ValueError:
        raise KeyError(key) from None


def build_key(partition: int, build: str) -> str:
    """Return the key of a build's row in a partition."""
    return f"{partition}/{build}"


def parse_build_key(key: str) -> tuple[int, str]:
    """Return partition and build of a key of `BUILDS`; the build is empty for the partition's own row.

    Raises:
        ValueError: It is none.
    """
    partition, build = key.split("/", 1)
    return int(partition), build


def source_key(source: Source) -> str:
    """Return the key of a source in `Progress.sources`."""
    return f"{source.topic}/{source.partition}{HISTORY if source.history else ''}"


def _window(text: str) -> Window:
    half = _TIMES // 2
    return Window(parse_time_key(text[half:]), parse_time_key(text[:half]))
