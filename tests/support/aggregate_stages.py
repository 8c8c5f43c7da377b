"""Both stages in memory, as the lane runs them: chunks of any size, taken and merged in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec
from aiokafka.structs import TopicPartition

from agents.aggregator.aggregating import LATE
from agents.aggregator.domain.plan import Compiled, Plan, build_id
from agents.aggregator.domain.rows import TABLES
from agents.aggregator.history import HISTORIES, History
from agents.aggregator.merge import Merger
from agents.aggregator.partials import SOURCES, Partials
from fleet.lane import Effect, Emit, Followed, Repartition, Tick
from fleet.lane.staging import Stage
from fleet.lane.state import State
from fleet.lane.stores import MemoryStore
from schemas.codec import Codec
from tables.aggregations.calculation import Build, Calculation, Start
from tables.aggregations.checks import check_definition
from tables.aggregations.definition import Output, OutputMode, parse_definition
from tables.aggregations.schemas import derive_output_schema
from tests.support.aggregate_batch import Question
from tests.support.aggregate_events import SCHEMA, Logged
from tests.support.lane_fakes import SourceRecord
from tests.unit.schemas.local_registry import LocalRegistry

PARTITIONS: Final = 3
MAX_CHUNK: Final = 300
PUBLISHED_MS: Final = 1 << 42
"""When the events are published: after all event times."""
ORDERS: Final = 1
"""Schema id of the orders; results have those that follow."""
NOW_MS: Final = 1_000_000

Place = tuple[str, int]


def served(name: str, number: int, question: Question, start: Start = Start.LATEST) -> Compiled:
    """Return a calculation as the one build of an active definition, which writes finals to its topic."""
    document = {"name": name, "version": 1, "owner": "shop", "state": "active", **question.document}
    schemas = dict.fromkeys(question.document["sources"], SCHEMA)
    definition = check_definition(parse_definition(document), schemas).definition
    calculation = {each: getattr(definition, each) for each in Calculation.__struct_fields__}
    build = Build(**calculation, number=1, start=start, output_schema=number)
    windowed = question.windows["kind"] != "none"
    output = Output(
        topic=f"results.{name}", mode=OutputMode.FINALS if windowed else OutputMode.UPDATES, every_ms=0
    )
    definition = msgspec.structs.replace(definition, builds=(build,), serving=1, output=output)
    return Compiled(build_id(name, 1), definition, build)


@dataclass
class _Task:
    """One partition of an agent: its tables, and records that it has not taken yet, by their partition."""

    number: int
    tables: dict[str, MemoryStore]
    waiting: dict[Place, list[SourceRecord]] = field(default_factory=dict)
    position: dict[Place, int] = field(default_factory=dict)

    def take(self, random: Random, place: Place) -> list[SourceRecord]:
        """Return the next records of a partition."""
        size = int(MAX_CHUNK ** random.random())
        chunk, self.waiting[place] = self.waiting[place][:size], self.waiting[place][size:]
        self.position[place] = chunk[-1].offset + 1
        return chunk


class Stages:
    """The aggregator over the events of all partitions.

    Args:
        builds: The builds, with `served`.
        random: Decides on chunks, and on what happens next.

    Attributes:
        results: What was written to the topic of each definition, in order of the partitions.
        late: Headers of what was written to the late topic, with its place.
    """

    def __init__(self, builds: Sequence[Compiled], random: Random) -> None:
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.late: list[tuple[Place, int, dict[str, bytes]]] = []
        self._plan = Plan({build.id: build for build in builds}, 7)
        self._random = random
        results = {
            build.build.output_schema: derive_output_schema(
                build.definition, dict.fromkeys(build.build.sources, SCHEMA)
            )
            for build in builds
        }
        known: dict[int, Any] = {ORDERS: SCHEMA, **results}  # type: ignore[dict-item] # each has its number
        self._codec = Codec(LocalRegistry(known))
        asyncio.run(self._codec.ensure(known))
        partials, begun = Repartition("partials", PARTITIONS), Repartition("begun", 1)
        history = Repartition("history", PARTITIONS)
        self._partials = Partials(self._codec, partials, begun, idle_ms=NOW_MS)
        self._history = History(self._codec, history, begun, lambda: self._plan)
        self._merger = Merger(self._codec, lambda: self._plan, lambda: 7, PARTITIONS)
        self._first = _Task(0, {SOURCES: MemoryStore()})
        self._past = _Task(0, {HISTORIES: MemoryStore()})
        self._second = [
            _Task(number, {name: MemoryStore() for name in TABLES}) for number in range(PARTITIONS)
        ]
        self._logs: dict[Place, list[SourceRecord]] = {}
        self._written: dict[Place, int] = {}
        self._reading: dict[Place, str] = {}

    def run(self, events: Iterable[Logged], begun: Mapping[Place, int] | None = None) -> None:
        """Process all events.

        Args:
            events: The events.
            begun: First offset that is taken as it comes, by partition; what is before is history.
        """
        for each in events:
            value = self._codec.encode_as(ORDERS, each.order)
            record = SourceRecord(value, each.offset, b"k", each.topic, each.partition, PUBLISHED_MS)
            self._logs.setdefault((each.topic, each.partition), []).append(record)
        for place, log in self._logs.items():
            start = 0 if begun is None else begun[place]
            self._first.waiting[place] = log[start:]
            self._first.position[place] = start
        self._tick_first()
        while self._step():
            pass

    def _step(self) -> bool:
        """Let one thing happen; return whether there was one."""
        self._follow_history()
        choices: list[tuple[_Task, Place]] = [
            (task, place)
            for task in (self._first, self._past, *self._second)
            for place, records in task.waiting.items()
            if records
        ]
        if not choices:
            before = dict(self._written)
            self._tick_first()
            self._tick_past()
            for task in self._second:
                self._tick_second(task)
            return self._written != before
        if self._random.random() < 0.1:
            self._random.choice([self._tick_first, self._tick_past])()
            self._tick_second(self._random.choice(self._second))
        task, place = self._random.choice(choices)
        chunk = task.take(self._random, place)
        process: Any = self._merger.process
        if task is self._first:
            process = self._partials.process
        elif task is self._past:
            process = self._history.process
        self._commit(task, lambda state: process(chunk, state))
        return True

    def _follow_history(self) -> None:
        """Read what the history follows now."""
        follows = {
            (each.topic, each.partition or 0): each.token
            for each in self._history.follows(self._state(self._past))
        }
        for place in [each for each in self._reading if self._reading[each] != follows.get(each)]:
            del self._past.waiting[place], self._past.position[place], self._reading[place]
        for place in follows.keys() - self._reading.keys():
            self._past.waiting[place] = list(self._logs[place])
            self._past.position[place] = 0
            self._reading[place] = follows[place]

    def _tick_first(self) -> None:
        self._commit(self._first, lambda state: self._partials.on_tick(self._tick(self._first), state))

    def _tick_past(self) -> None:
        self._commit(self._past, lambda state: self._history.on_tick(self._tick(self._past), state))

    def _tick_second(self, task: _Task) -> None:
        while self._commit(task, lambda state: self._merger.on_tick(Tick(NOW_MS, {}), state)).tick_again:
            pass

    def _tick(self, task: _Task) -> Tick:
        partitions = {topic: sum(place[0] == topic for place in self._logs) for topic, _ in self._logs}
        followed = {
            TopicPartition(*place): Followed(
                at, partitions[place[0]], not task.waiting[place], self._reading.get(place, "")
            )
            for place, at in task.position.items()
            if place in self._logs
        }
        return Tick(NOW_MS, followed)

    def _state(self, task: _Task) -> State:
        return State(task.tables, task.number, self._plan, NOW_MS)

    def _commit(self, task: _Task, process: Any) -> Stage:
        state = self._state(task)
        stage = Stage(state)
        effects: Iterable[Effect] = process(state)
        stage.take(effects)
        assert stage.dead_letters == []
        for name, rows in state.staged.items():
            task.tables[name].apply(rows, {}, None)
        for emit in stage.outputs():
            assert isinstance(emit, Emit)
            self._write(emit)
        return stage

    def _write(self, emit: Emit) -> None:
        if emit.topic == LATE:
            cause: Any = emit.cause
            self.late.append(((cause.topic, cause.partition), cause.offset, dict(emit.headers)))
        elif emit.topic.startswith("results."):
            self.results.setdefault(emit.topic.removeprefix("results."), []).append(
                self._codec.decode(emit.value or b"")
            )
        else:
            place = emit.topic, emit.partition or 0
            offset = self._written[place] = self._written.get(place, -1) + 1
            record = SourceRecord(emit.value, offset, emit.key, *place, PUBLISHED_MS, emit.headers)
            reader = self._past if emit.topic == "begun" else self._second[place[1]]
            reader.waiting.setdefault(place, []).append(record)
