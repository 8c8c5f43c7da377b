"""An aggregation in memory: events in chunks of any size, partial aggregates merged in any order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from random import Random

from agents.aggregator.domain.events import Events
from agents.aggregator.domain.functions import State
from agents.aggregator.domain.messages import Partial, Source, decode, encode
from agents.aggregator.domain.partials import Calculator
from agents.aggregator.domain.plan import Compiled, build_id
from agents.aggregator.domain.windowing import ALL_TIME, Window, merge_sessions
from agents.aggregator.domain.windowing.sessions import Sessions
from tables.aggregations.calculation import Build, Calculation
from tables.aggregations.checks import check_definition
from tables.aggregations.definition import parse_definition
from tests.support.aggregate_batch import Cell, Missed, Question, Row
from tests.support.aggregate_events import SCHEMA, Logged

States = Sequence[State]
MAX_CHUNK = 1_000
LONG_AFTER_MS = 1 << 42
"""When the events are published: after all event times."""


def compiled(question: Question) -> Compiled:
    """Return a calculation as both stages use it."""
    document = {"name": "orders", "version": 1, "owner": "shop", "state": "active", **question.document}
    schemas = dict.fromkeys(question.document["sources"], SCHEMA)
    definition = check_definition(parse_definition(document), schemas).definition
    calculation = {name: getattr(definition, name) for name in Calculation.__struct_fields__}
    return Compiled(build_id("orders", 1), definition, Build(**calculation, number=1))


class Pipeline:
    """One build, over the events of all partitions.

    Args:
        build: The build.
        random: Decides on chunks, and on the order of merges.

    Attributes:
        missed: Events that were too late, once for each window.
    """

    def __init__(self, build: Compiled, random: Random) -> None:
        self.missed: list[Missed] = []
        self._build = build
        self._calculator = Calculator(build)
        self._random = random

    def results(self, events: Sequence[Logged]) -> dict[Cell, Row]:
        """Return the result of each function by its name, for each group and window."""
        rows: dict[tuple[str, Window], States] = {}
        messages = list(self._messages(events))
        self._random.shuffle(messages)
        for message in messages:
            partial = decode(message)
            assert isinstance(partial, Partial)
            for group, shares in partial.groups.items():
                for start_ms, end_ms, _, states in shares:
                    self._merge(rows, group, Window(start_ms, end_ms), states)
        return {
            _cell(group, window): {
                each.name: each.result(state)
                for each, state in zip(self._build.functions, states, strict=True)
            }
            for (group, window), states in rows.items()
        }

    def _messages(self, events: Sequence[Logged]) -> Iterable[bytes]:
        """Yield what the first stage tells the second, for chunks of a partition in log order."""
        for topic, partition in sorted({(each.topic, each.partition) for each in events}):
            log = [each for each in events if (each.topic, each.partition) == (topic, partition)]
            watermark_ms = None
            while log:
                size = int(MAX_CHUNK ** self._random.random())
                chunk, log = log[:size], log[size:]
                outcome = self._calculator.run(_columns(chunk), watermark_ms)
                watermark_ms = outcome.watermark_ms
                assert outcome.refused == {}
                for place, windows in outcome.missed.items():
                    offset = chunk[place].offset
                    self.missed += [Missed(topic, partition, offset, each.start_ms) for each in windows]
                yield encode(Partial(self._build.id, Source(topic, partition), outcome.shares))

    def _merge(
        self, rows: dict[tuple[str, Window], States], group: str, window: Window, states: States
    ) -> None:
        if not isinstance(self._build.windows, Sessions):
            known = rows.get((group, window))
            rows[group, window] = states if known is None else self._merged(known, states)
            return
        mine = [(other, rows.pop((group, other))) for each, other in list(rows) if each == group]
        for joined, merged in merge_sessions([*mine, (window, states)], self._merged):
            rows[group, joined] = merged

    def _merged(self, one: States, other: States) -> States:
        pairs = zip(self._build.functions, one, other, strict=True)
        return [function.merge(mine, theirs) for function, mine, theirs in pairs]


def _columns(events: Sequence[Logged]) -> Events:
    return Events(
        events[0].topic,
        events[0].partition,
        [each.offset for each in events],
        [LONG_AFTER_MS] * len(events),
        [{}] * len(events),
        [each.order for each in events],
    )


def _cell(group: str, window: Window) -> Cell:
    parts = tuple(json.loads(group))
    return Cell(parts, None, None) if window == ALL_TIME else Cell(parts, window.start_ms, window.end_ms)
