"""The second stage in tests: messages made of events as the first stage makes them, and a partition of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import groupby
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from agents.aggregator.domain.functions import At
from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.messages import Mark, Message, Partial, Source, Standing, encode
from agents.aggregator.domain.plan import Compiled, Plan
from agents.aggregator.domain.rows import BUILDS, INDEX, ROWS, TABLES, Progress, Row, build_key, parse_row_key
from agents.aggregator.domain.windowing import ALL_TIME, Window
from agents.aggregator.merge import Merger
from fleet.lane import DeadLetter, Emit, Tick
from fleet.lane.staging import Stage
from fleet.lane.state import State
from fleet.lane.stores import MemoryStore
from schemas.codec import HEADER_BYTES, Codec
from tests.support.lane_fakes import SourceRecord
from tests.unit.schemas.local_registry import LocalRegistry

PARTITION = 2
SCHEMA_ID = 5


class Happening(NamedTuple):
    """An event as the second stage's tests need it: when, of which group, and its value."""

    time_ms: int
    group: str
    value: int


def result_schema(build: Compiled) -> dict[str, Any]:
    """Return a schema of the results of a build, of which the group has texts."""
    fields = [{"name": name, "type": ["null", "string"]} for name in build.build.group_by]
    fields += [{"name": name, "type": ["null", "long"]} for name in ("window_start", "window_end")]
    fields += [{"name": each.name, "type": ["null", each.avro()]} for each in build.functions]
    fields += [
        {"name": "final", "type": "boolean"},
        {"name": "watermark", "type": ["null", "long"]},
        {"name": "build", "type": "long"},
    ]
    return {"type": "record", "name": "result", "fields": fields}


def messages_of(
    build: Compiled, source: Source, happenings: Sequence[Happening], cuts: Iterable[int], partitions: int
) -> list[Message]:
    """Return what the first stage tells of the events of a source, cut into chunks of these sizes."""
    found: list[Message] = []
    place, reached = 0, None
    for size in cuts:
        chunk = happenings[place : place + size]
        kept: list[tuple[int, Happening, list[Window]]] = []
        for offset, each in enumerate(chunk, place):
            windows = [
                window
                for window in build.windows.windows_of(each.time_ms)
                if reached is None or window == ALL_TIME or window.end_ms + build.build.grace_ms > reached
            ]
            kept.append((offset, each, windows))
            reached = each.time_ms if reached is None else max(reached, each.time_ms)
        place += len(chunk)
        mark = Mark(build.id, source, partitions, reached)
        found.append(Partial(build.id, source, _groups(build, source, kept), mark=mark))
    return found


def _groups(build: Compiled, source: Source, kept: list[tuple[int, Happening, list[Window]]]) -> Any:
    groups: dict[str, Any] = {}
    ordered = sorted(kept, key=lambda item: item[1].group)
    for group, items in groupby(ordered, key=lambda item: item[1].group):
        taken = [item for item in items if item[2]]
        shares = []
        for window, places in build.windows.by_window([each.time_ms for _, each, _ in taken]).items():
            inside = [taken[at] for at in places if any(_shares_time(window, each) for each in taken[at][2])]
            if inside:
                shares.append((window.start_ms, window.end_ms, len(inside), states(build, source, inside)))
        if shares:
            groups[group_key([group])] = shares
    return groups


def _shares_time(window: Window, other: Window) -> bool:
    return window.start_ms <= other.start_ms and other.end_ms <= window.end_ms


def states(build: Compiled, source: Source, items: Sequence[tuple[int, Happening, Any]]) -> list[Any]:
    """Return the state of each function for events of a source, by their offsets."""
    values = [each.value for _, each, _ in items]
    ats = [At(each.time_ms, source.topic, source.partition, offset) for offset, each, _ in items]
    return [function.add_all(None, values, ats) for function in build.functions]


class Stage2:
    """One partition of the second stage.

    Attributes:
        plan: The plan; may be set.
        now_ms: The wall clock; may be set.
        results: Results written, in order.
        late: Events told as late, by reason.
        letters: Dead letters.
    """

    def __init__(self, *builds: Compiled, partitions: int = 1) -> None:
        self.plan = Plan({build.id: build for build in builds}, 7)
        self.now_ms = 1_000_000
        self.config_offset = 7
        self.results: list[dict[str, Any]] = []
        self.emits: list[Emit] = []
        self.late: dict[str, int] = {}
        self.letters: list[DeadLetter] = []
        self.tables: dict[str, Any] = {name: MemoryStore() for name in TABLES}
        self.schema = result_schema(builds[0])
        self.codec = Codec(LocalRegistry({SCHEMA_ID: self.schema}))
        self.merger = Merger(self.codec, lambda: self.plan, lambda: self.config_offset, partitions)
        asyncio.run(self.codec.ensure([SCHEMA_ID]))
        self._offset = 0

    def chunk(self, messages: Sequence[Message | bytes], **options: Any) -> Stage:
        """Process messages as one chunk, and commit it."""
        records = []
        for message in messages:
            value = message if isinstance(message, bytes) else encode(message)
            records.append(
                SourceRecord(value, self._offset, partition=PARTITION, topic="partials", **options)
            )
            self._offset += 1
        state = self._state()
        return self._committed(self.merger.process(records, state), state)

    def chunks(self, messages: Sequence[Message], sizes: Iterable[int]) -> Stage2:
        """Process messages in chunks of these sizes, the rest in one."""
        place = 0
        for size in sizes:
            if place < len(messages):
                self.chunk(messages[place : place + size])
            place += size
        if place < len(messages):
            self.chunk(messages[place:])
        return self

    def tick(self) -> Stage:
        """Let a tick happen, and commit it."""
        state = self._state()
        return self._committed(self.merger.on_tick(Tick(self.now_ms, {}), state), state)

    def ticks(self) -> int:
        """Let ticks happen for as long as they ask for more; return how many."""
        count = 1
        while self.tick().tick_again:
            count += 1
        return count

    def rows(self) -> dict[tuple[str, str, Window], tuple[int, Any]]:
        """Return number of events and states by build, group and window."""
        found = {}
        for key, value in self.tables[ROWS].items():
            row = Row.of(value)
            found[tuple(parse_row_key(key))] = (row.events, row.states)
        return found  # type: ignore[return-value] # a key has three parts

    def progress(self, build: Compiled) -> Progress:
        """Return the progress of a build."""
        return Progress.of(self.tables[BUILDS].get(build_key(PARTITION, build.id)))

    def check(self, build: Compiled) -> None:
        """Check that the index and what is said of the size are what the rows are."""
        keys = [parse_row_key(key) for key, _ in self.tables[ROWS].items()]
        assert sorted(each.in_index for each in keys) == sorted(key for key, _ in self.tables[INDEX].items())
        own = [(key, Row.of(row)) for key, row in self.tables[ROWS].items() if key.startswith(f"{build.id}|")]
        progress = self.progress(build)
        assert progress.keys == len(own)
        assert progress.size_bytes == sum(row.size_bytes for _, row in own)

    def finals(self) -> list[dict[str, Any]]:
        """Return the finals."""
        return [each for each in self.results if each["final"]]

    def _state(self) -> State:
        return State(self.tables, PARTITION, self.plan, self.now_ms)

    def _committed(self, effects: Any, state: State) -> Stage:
        stage = Stage(state)
        stage.take(effects)
        for emit in stage.outputs():
            assert isinstance(emit, Emit)
            self.emits.append(emit)
            headers = dict(emit.headers)
            if emit.topic == "fleet.aggregator.late":
                reason, count = headers["fleet_late_reason"].decode(), int(headers["fleet_late_count"])
                self.late[reason] = self.late.get(reason, 0) + count
            else:
                self.results.append(self._read(emit.value))
        self.letters += stage.dead_letters
        for name, rows in state.staged.items():
            self.tables[name].apply(rows, {}, None)
        return stage

    def _read(self, value: Any) -> dict[str, Any]:
        found: Any = schemaless_reader(BytesIO(value[HEADER_BYTES:]), parse_schema(self.schema), None)
        return dict(found)


def closing_marks(build: Compiled, sources: Iterable[Source], partitions: int, at_ms: int) -> list[Message]:
    """Return what lets every window end: all sources have got to a time."""
    marks = [Mark(build.id, source, partitions, at_ms, Standing.LIVE) for source in sources]
    return [Partial(mark.build, mark.source, {}, mark=mark) for mark in marks]
