"""The second stage against a plain recomputation, whatever the windows, the order of sources and the cuts."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.aggregator.domain.functions import At
from agents.aggregator.domain.messages import Mark, Message, Partial, Source, Standing
from agents.aggregator.domain.plan import Compiled, Plan
from agents.aggregator.domain.windowing import ALL_TIME, Window, merge_sessions
from agents.aggregator.domain.windowing.sessions import Sessions
from tests.support.aggregate_definitions import a_build
from tests.support.aggregate_merging import (
    PARTITION,
    SCHEMA_ID,
    Happening,
    Stage2,
    closing_marks,
    messages_of,
    result_schema,
    states,
)

HOUR_MS = 3_600_000
DST_MS = 1_774_746_000_000
"""2026-03-29, when clocks of Europe go forward."""
FOREVER_MS = 2 * 10**12
FUNCTIONS = [
    {"as": "events", "function": "count"},
    {"as": "total", "function": "sum", "of": "event.a", "type": "int"},
    {"as": "newest", "function": "last", "of": "event.a", "type": "int"},
    {"as": "oldest", "function": "first", "of": "event.a", "type": "int"},
    {"as": "different", "function": "distinct", "of": "event.a", "type": "int"},
    {"as": "most", "function": "top_k", "of": "event.a", "type": "int", "limit": 3},
    {"as": "some", "function": "collect", "of": "event.a", "type": "int", "limit": 2},
]
WINDOWS: list[dict[str, Any]] = [
    {"kind": "none"},
    {"kind": "tumbling", "size_ms": HOUR_MS},
    {"kind": "hopping", "size_ms": HOUR_MS, "hop_ms": HOUR_MS // 3},
    {"kind": "hopping", "size_ms": 5_000_000, "hop_ms": 3_000_000},
    {"kind": "session", "gap_ms": HOUR_MS // 2},
    {"kind": "calendar", "unit": "day", "time_zone": "Europe/Berlin"},
    {"kind": "calendar", "unit": "week", "time_zone": "America/New_York"},
]
SESSIONS = [{"kind": "session", "gap_ms": gap_ms} for gap_ms in (HOUR_MS // 6, HOUR_MS // 2)]


def build_of(windows: dict[str, Any], grace_ms: int = 0, mode: str = "finals", **fields: Any) -> Compiled:
    """Return a build with these windows, which writes results."""
    if windows["kind"] == "none":
        mode = "updates"
    output = {"topic": "results", "mode": mode, **fields.pop("output", {})}
    compiled = a_build(
        windows=windows,
        grace_ms=grace_ms,
        functions=FUNCTIONS,
        output=output,
        **{"retention_ms": 100 * 365 * 24 * HOUR_MS, **fields},
    )
    build = msgspec.structs.replace(compiled.build, output_schema=SCHEMA_ID)
    definition = msgspec.structs.replace(compiled.definition, builds=(build,))
    return Compiled(compiled.id, definition, build)


@st.composite
def cases(
    draw: st.DrawFn, windows: Sequence[dict[str, Any]] = WINDOWS
) -> tuple[Compiled, list[list[Happening]], Random]:
    """Draw a build, the events of each of its sources, and what cuts and mixes them."""
    build = build_of(draw(st.sampled_from(windows)), draw(st.sampled_from([0, HOUR_MS // 4, 3 * HOUR_MS])))
    random = Random(draw(st.integers(0, 1 << 32)))
    spread_ms = draw(st.sampled_from([HOUR_MS, 6 * HOUR_MS, 80 * HOUR_MS]))
    sources = []
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 40))
        times = [DST_MS + round(at * spread_ms / count) for at in range(count)]
        skew_ms = draw(st.sampled_from([0, HOUR_MS // 3, 2 * HOUR_MS]))
        happened = [time_ms + random.randint(-skew_ms, skew_ms) for time_ms in times]
        sources.append([Happening(each, random.choice("ab|"), random.randrange(6)) for each in happened])
    return build, sources, random


def sizes(random: Random, count: int) -> list[int]:
    """Return sizes of pieces that `count` things are cut into."""
    found: list[int] = []
    while sum(found) < count:
        found.append(random.randint(1, max(1, min(12, count))))
    return found


def mixed(streams: Sequence[Sequence[Message]], random: Random) -> list[Message]:
    """Return the messages of several sources in one order, those of each in their own."""
    left = [list(stream) for stream in streams if stream]
    found = []
    while left:
        stream = random.choice(left)
        found.append(stream.pop(0))
        left = [each for each in left if each]
    return found


def told_of(build: Compiled, sources: Sequence[Sequence[Happening]], random: Random) -> list[list[Message]]:
    """Return the messages of each source, cut at random."""
    return [
        messages_of(
            build, Source("canonical.claim", number), events, sizes(random, len(events)), len(sources)
        )
        for number, events in enumerate(sources)
    ]


def recomputed(
    build: Compiled, sources: Sequence[Sequence[Happening]]
) -> dict[tuple[str, Window], list[Any]]:
    """Return number of events and results by group and window, from all events that are in time."""
    found: dict[tuple[str, Window], list[tuple[At, int]]] = {}
    for number, events in enumerate(sources):
        reached = -FOREVER_MS
        for offset, each in enumerate(events):
            for window in build.windows.windows_of(each.time_ms):
                if window == ALL_TIME or window.end_ms + build.build.grace_ms > reached:
                    at = At(each.time_ms, "canonical.claim", number, offset)
                    found.setdefault((each.group, window), []).append((at, each.value))
            reached = max(reached, each.time_ms)
    if isinstance(build.windows, Sessions):
        alone = found
        found = {}
        for group in {group for group, _ in alone}:
            own = [(window, inside) for (other, window), inside in alone.items() if other == group]
            for window, joined in merge_sessions(own, lambda one, other: [*one, *other]):
                found[group, window] = joined
    return {key: _results(build, events) for key, events in found.items()}


def _results(build: Compiled, events: Sequence[tuple[At, int]]) -> list[Any]:
    ats, values = [at for at, _ in events], [value for _, value in events]
    return [each.result(each.add_all(None, values, ats)) for each in build.functions]


def written(build: Compiled, results: Sequence[dict[str, Any]]) -> dict[tuple[str, Window], list[Any]]:
    """Return results as `recomputed` does; two of one group and window are an error."""
    found = {}
    for each in results:
        window = Window(each["window_start"], each["window_end"])
        assert (each["provider"], window) not in found
        found[each["provider"], window] = [each[function.name] for function in build.functions]
    return found


@settings(max_examples=100, deadline=None)
@given(st.one_of(cases(), cases(SESSIONS)))
def test_finals_are_what_a_recomputation_gives(
    case: tuple[Compiled, list[list[Happening]], Random],
) -> None:
    """Once for each group and window, with the events that were in time, and none is late here."""
    build, sources, random = case
    streams, stage = told_of(build, sources, random), Stage2(build)
    messages = mixed(streams, random)
    stage.chunks(messages, sizes(random, len(messages)))
    stage.check(build)
    heard = [Source("canonical.claim", number) for number in range(len(sources))]
    stage.chunks(closing_marks(build, heard, len(sources), FOREVER_MS), [1, 1])
    stage.check(build)
    assert (stage.late, stage.letters) == ({}, [])
    expected = recomputed(build, sources)
    rows = {(key[1], key[2]): row for key, row in stage.rows().items()}
    assert {(f'["{group}"]', window) for group, window in expected} == rows.keys()
    if build.build.windows.kind.value == "none":
        assert stage.finals() == []
    else:
        assert written(build, stage.finals()) == expected


@settings(max_examples=75, deadline=None)
@given(st.one_of(cases(), cases(SESSIONS)), st.integers(0, 3))
def test_nothing_depends_on_where_chunks_are_cut(
    case: tuple[Compiled, list[list[Happening]], Random], idle: int
) -> None:
    """Rows, watermark, finals and what is late are the same, also with idle sources and unjudged partials."""
    build, sources, random = case
    messages = mixed(told_of(build, sources, random), random)
    for place in range(0, len(messages), 4 - idle if idle else len(messages) + 1):
        messages[place] = _made_idle(messages[place], random)
    singly, cut = Stage2(build), Stage2(build)
    singly.chunks(messages, [1] * len(messages))
    cut.chunks(messages, sizes(random, len(messages)))
    assert singly.rows() == cut.rows()
    assert singly.late == cut.late
    assert singly.progress(build) == cut.progress(build)
    assert written(build, singly.finals()) == written(build, cut.finals())
    cut.check(build)


def _made_idle(message: Message, random: Random) -> Message:
    assert isinstance(message, Partial)
    assert message.mark is not None
    mark = msgspec.structs.replace(message.mark, standing=Standing.IDLE)
    return msgspec.structs.replace(message, mark=mark, judged=random.random() < 0.5)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_sources_may_come_in_any_order(case: tuple[Compiled, list[list[Happening]], Random]) -> None:
    """Rows and watermark are the same once all has come."""
    build, sources, random = case
    streams = told_of(build, sources, random)
    one, other = Stage2(build), Stage2(build)
    for stage in (one, other):
        messages = mixed(streams, random)
        stage.chunks(messages, sizes(random, len(messages)))
    assert one.rows() == other.rows()
    assert (one.late, other.late) == ({}, {})
    assert one.progress(build) == other.progress(build)


def of_session(build: Compiled, first_ms: int, last_ms: int, events: int, at_ms: int | None) -> Partial:
    """Return a session of one group, and with it how far the only source has got."""
    source = Source("canonical.claim", 0)
    items = [(number, Happening(first_ms, "a", number), None) for number in range(events)]
    share = (first_ms, last_ms + HOUR_MS // 2, events, states(build, source, items))
    mark = None if at_ms is None else Mark(build.id, source, 1, at_ms)
    return Partial(build.id, source, {'["a"]': [share]}, mark=mark)


def test_a_session_waits_for_events_that_may_still_join_it() -> None:
    """It has ended, but one that comes now and is not late itself joins it; then it is closed for good."""
    build = build_of(SESSIONS[1])
    gap_ms = HOUR_MS // 2
    stage = Stage2(build)
    stage.chunk([of_session(build, 0, 0, 1, gap_ms + 1)])
    assert stage.finals() == []
    stage.chunk([of_session(build, gap_ms - 1, gap_ms - 1, 1, 3 * gap_ms - 2)])
    assert [window for _, _, window in stage.rows()] == [Window(0, 2 * gap_ms - 1)]
    assert stage.finals() == []
    closing = stage.chunk(closing_marks(build, [Source("canonical.claim", 0)], 1, 3 * gap_ms - 1))
    assert not closing.is_empty()
    assert [each["events"] for each in stage.finals()] == [2]
    stage.check(build)


@pytest.mark.parametrize("together", [True, False])
def test_a_closed_session_is_joined_to_none(together: bool) -> None:  # noqa: FBT001 - of pytest
    """What overlaps it after a source was idle is a session of its own, also within one chunk."""
    build, gap_ms = build_of(SESSIONS[1]), HOUR_MS // 2
    messages = [of_session(build, 0, 0, 1, 2 * gap_ms), of_session(build, gap_ms - 1, 2 * gap_ms, 2, None)]
    stage = Stage2(build).chunks(messages, [2] if together else [1, 1])
    rows = {window: events for (_, _, window), (events, _) in stage.rows().items()}
    assert rows == {Window(0, gap_ms): 1, Window(gap_ms - 1, 3 * gap_ms): 2}
    assert [each["events"] for each in stage.finals()] == [1]
    stage.check(build)


def test_the_schema_of_the_test_is_as_the_derived_one() -> None:
    """It has a field for each part of the group and each function."""
    names = {field["name"] for field in result_schema(build_of(WINDOWS[0]))["fields"]}
    assert {"provider", "events", "total", "window_start", "final", "watermark", "build"} <= names
    assert PARTITION > 0


@settings(max_examples=75, deadline=None)
@given(cases([each for each in WINDOWS if each["kind"] != "none"]))
def test_each_window_has_one_final_whichever_build_serves_when(
    case: tuple[Compiled, list[list[Happening]], Random],
) -> None:
    """However far one build is behind the other, and however often it is switched, forth and back."""
    one, sources, random = case
    builds = [one, _sibling(one, 2)]
    last = [Source("canonical.claim", number) for number in range(len(sources))]
    streams = []
    for build in builds:
        told = mixed(told_of(build, sources, random), random)
        streams.append([*told, *closing_marks(build, last, len(sources), FOREVER_MS)])
    stage = Stage2(*_serving(builds, 1))
    stage.tick()
    for message in mixed(streams, random):
        stage.chunk([message])
        if random.random() < 0.3:
            stage.plan = Plan({each.id: each for each in _serving(builds, random.choice([1, 2]))}, 7)
        if random.random() < 0.5:
            stage.tick()
    stage.ticks()
    assert set(written(one, stage.finals())) == set(recomputed(one, sources))


def _sibling(build: Compiled, number: int) -> Compiled:
    """Return another build of the same calculation."""
    other = msgspec.structs.replace(build.build, number=number)
    return Compiled(f"{build.definition.name}~{number}", build.definition, other)


def _serving(builds: Sequence[Compiled], number: int) -> list[Compiled]:
    """Return builds of a definition that serves one of them."""
    definition = msgspec.structs.replace(
        builds[0].definition, builds=tuple(each.build for each in builds), serving=number
    )
    return [Compiled(each.id, definition, each.build) for each in builds]
