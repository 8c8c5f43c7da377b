"""The second stage beside merging: closing in parts, updates, what is late, too large, over quota, gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from agents.aggregator.domain.messages import Mark, Marks, Partial, Share, Source, Standing, decode
from agents.aggregator.domain.plan import Compiled, Plan
from agents.aggregator.domain.rows import BUILDS, INDEX, PENDING, ROWS, build_key
from agents.aggregator.domain.windowing import ALL_TIME
from fleet.errors import TransientError
from tables.aggregations.definition import Limits
from tests.support.aggregate_definitions import a_build, a_plan
from tests.support.aggregate_merging import PARTITION, SCHEMA_ID, Stage2
from tests.support.lane_fakes import SourceRecord

MINUTE_MS = 60_000
SOURCE = Source("canonical.claim", 0)
COUNT = [{"as": "events", "function": "count"}]
COLLECT = [{"as": "texts", "function": "collect", "of": "event.a", "type": "string", "limit": 1_000}]
SUM = [{"as": "total", "function": "sum", "of": "event.a", "type": "int"}]


def build_of(name: str = "by-provider", mode: str = "both", every_ms: int = 1_000, **fields: Any) -> Compiled:
    """Return a build of counts per minute, which writes to a topic."""
    output = {"topic": f"results.{name}", "mode": mode, "every_ms": every_ms}
    compiled = a_build(**{"name": name, "functions": COUNT, "output": output, **fields})
    build = msgspec.structs.replace(compiled.build, output_schema=SCHEMA_ID)
    return Compiled(compiled.id, msgspec.structs.replace(compiled.definition, builds=(build,)), build)


def changed(build: Compiled, **fields: Any) -> Compiled:
    """Return the same build of a definition that was changed."""
    return Compiled(build.id, msgspec.structs.replace(build.definition, **fields), build.build)


def share(minute: int, events: int = 1, states: Sequence[Any] | None = None) -> Share:
    """Return a share of a minute."""
    start_ms = minute * MINUTE_MS
    return (start_ms, start_ms + MINUTE_MS, events, [events] if states is None else list(states))


def partial(
    build: Compiled, groups: dict[str, list[Share]], at_ms: int | None = None, **more: Any
) -> Partial:
    """Return what the only source tells, with a mark if it has got to a time."""
    mark = None if at_ms is None else Mark(build.id, SOURCE, 1, at_ms)
    keys = {f'["{group}"]': shares for group, shares in groups.items()}
    return Partial(build.id, SOURCE, keys, mark=mark, **more)


def marks(build: Compiled, at_ms: int, standing: Standing = Standing.LIVE) -> Marks:
    """Return what tells that the only source has got to a time."""
    return Marks([Mark(build.id, SOURCE, 1, at_ms, standing)])


def counts(stage: Stage2) -> list[tuple[str, int, bool]]:
    """Return group, count and finality of each result, in order."""
    return [(each["provider"], each["events"], each["final"]) for each in stage.results]


def test_many_windows_close_in_parts_and_each_once() -> None:
    """No transaction has more finals than the limit; ticks go on at once until all are written."""
    build = build_of(mode="finals")
    stage = Stage2(build)
    stage.chunk([partial(build, {f"g{number:02}": [share(0), share(1)] for number in range(12)}, 0)])
    with patch("agents.aggregator.merge.MAX_WINDOWS", 5):
        assert stage.chunk([marks(build, 2 * MINUTE_MS)]).tick_again
        assert len(stage.results) == 5
        late = stage.chunk([partial(build, {"g11": [share(1)]})])
        assert late.dead_letters == []
        assert len(stage.results) == 10
        assert stage.ticks() >= 2
    found = sorted((each["provider"], each["window_start"]) for each in stage.results)
    assert found == [(f"g{number:02}", minute * MINUTE_MS) for number in range(12) for minute in (0, 1)]
    assert all(each["final"] and each["events"] == 1 for each in stage.results)
    assert {each["watermark"] - each["window_end"] for each in stage.results} == {0}
    assert stage.late == {"idle_source": 1}
    stage.check(build)


def test_rows_expire_by_event_time_once_their_finals_are_written() -> None:
    """However far the clock on the wall is: retention goes by the watermark."""
    build = build_of(retention_ms=MINUTE_MS)
    stage = Stage2(build)
    stage.chunk([partial(build, {"a": [share(0)], "b": [share(5)]}, 2 * MINUTE_MS - 1)])
    stage.now_ms += 10**9
    stage.ticks()
    assert len(stage.rows()) == 2
    stage.chunk([marks(build, 2 * MINUTE_MS)])
    assert [key[1] for key in stage.rows()] == ['["b"]']
    stage.check(build)
    assert counts(stage)[-1] == ("a", 1, True)


def test_updates_of_a_row_are_put_off_and_the_newest_is_written() -> None:
    """The first at once, the next when the interval is over: one, with all that came meanwhile."""
    build = build_of()
    stage = Stage2(build)
    for _ in range(3):
        stage.chunk([partial(build, {"a": [share(0)]}, 5)])
        stage.now_ms += 300
    stage.tick()
    assert counts(stage) == [("a", 1, False)]
    stage.now_ms += 100
    stage.tick()
    assert counts(stage) == [("a", 1, False), ("a", 3, False)]
    assert stage.results[-1]["watermark"] == 5
    assert len(stage.tables[PENDING]) == 0
    assert stage.tick().is_empty()
    stage.chunk([partial(build, {"a": [share(0)]})])
    stage.now_ms += 1_000
    stage.tick()
    stage.chunk([partial(build, {"a": [share(0)]})])
    stage.now_ms += 1_000
    stage.tick()
    assert [count for _, count, _ in counts(stage)] == [1, 3, 4, 5]


def test_an_update_put_off_gives_way_to_the_final() -> None:
    """Where both are written; the update alone is written all the same, also after the row has expired."""
    for mode, retention_ms, expected in (
        ("both", MINUTE_MS, [("a", 1, False), ("a", 2, True)]),
        ("updates", MINUTE_MS, [("a", 1, False), ("a", 2, False)]),
        ("updates", 0, [("a", 1, False), ("a", 2, False)]),
    ):
        build = build_of(mode=mode, retention_ms=retention_ms)
        stage = Stage2(build)
        stage.chunk([partial(build, {"a": [share(0)]}, 1)])
        stage.chunk([partial(build, {"a": [share(0)]}, 2)])
        stage.chunk([marks(build, MINUTE_MS)])
        stage.now_ms += 2_000
        stage.ticks()
        assert counts(stage) == expected
        assert len(stage.tables[PENDING]) == 0


def test_a_build_that_is_not_served_writes_nothing() -> None:
    """Nothing pends for it, and after a switch rows are written as they change, not those from before."""
    build = build_of()
    stage = Stage2(changed(build, serving=9))
    stage.chunk([partial(build, {"a": [share(0)], "b": [share(0)]})])
    stage.chunk([partial(build, {"a": [share(0)]})])
    stage.now_ms += 5_000
    stage.ticks()
    assert (stage.results, len(stage.tables[PENDING])) == ([], 0)
    stage.plan = a_plan(build)
    stage.tick()
    stage.chunk([partial(build, {"b": [share(0)]})])
    assert counts(stage) == [("b", 2, False)]
    stage.chunk([partial(build, {"b": [share(0)]})])
    stage.plan = a_plan(changed(build, serving=9))
    stage.now_ms += 5_000
    stage.ticks()
    assert counts(stage) == [("b", 2, False)]
    stage.plan = a_plan(build)
    stage.chunk([partial(build, {"b": [share(0)]})])
    assert counts(stage)[-1] == ("b", 4, False)


def test_results_are_cloudevents_whose_ids_say_what_they_are_of() -> None:
    """The same result has the same id whenever it is written; the key is the group's text."""
    build = build_of()
    ids = []
    for _ in range(2):
        stage = Stage2(build)
        stage.chunk([partial(build, {"a": [share(0, 2)]}, 0)])
        stage.chunk([marks(build, MINUTE_MS)])
        headers = [dict(emit.headers) for emit in stage.emits]
        assert {emit.key for emit in stage.emits} == {b'["a"]'}
        assert {each["fleet_aggregation"] for each in headers} == {build.id.encode()}
        assert {each["ce_type"] for each in headers} == {b"results.by-provider"}
        ids.append([each["ce_id"] for each in headers])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_partials_of_closed_windows_are_told_with_the_reason_and_count() -> None:
    """Those of a source that was idle, and those of dead letters that were sent again; no row changes."""
    build = build_of(mode="finals")
    stage = Stage2(build)
    stage.chunk([partial(build, {"a": [share(0)]}, MINUTE_MS)])
    before = stage.rows()
    stage.chunk([partial(build, {"a": [share(0, 3)]}), partial(build, {"b": [share(0, 4)]}, judged=False)])
    assert stage.late == {"idle_source": 3, "sent_again": 4}
    assert (stage.rows(), stage.progress(build).late) == (before, 7)
    told = stage.emits[-1]
    assert dict(told.headers)["fleet_late_windows"] == b"1970-01-01T00:00:00Z/1970-01-01T00:01:00Z"
    assert told.value is not None
    again = decode(told.value)
    assert isinstance(again, Partial)
    assert (again.groups, again.judged) == ({'["b"]': [share(0, 4)]}, False)


def test_what_makes_a_row_too_large_is_set_aside_alone() -> None:
    """The row stays as it was, and other rows and builds of the message lose nothing."""
    build, other = build_of(functions=COLLECT), build_of("other")
    stage = Stage2(build, other)
    stage.codec._schemas.clear()
    text = "x" * 300_000
    one = [[0, [[1, "t", 0, 1, text]]]]
    two = [[0, [[1, "t", 0, 2, text]]]]
    silent = [changed(each, serving=0) for each in (build, other)]
    stage.plan = a_plan(*silent)
    stage.chunk([partial(build, {"a": [share(0, 1, one)]})])
    before = stage.rows()
    stage.chunk(
        [
            partial(build, {"a": [share(0, 1, two)], "b": [share(0, 1, two)]}),
            partial(other, {"a": [share(0)]}),
        ]
    )
    rows = stage.rows()
    assert [(key[0], key[1]) for key in sorted(rows)] == [
        (build.id, '["a"]'),
        (build.id, '["b"]'),
        (other.id, '["a"]'),
    ]
    assert before.items() <= rows.items()
    (letter,) = stage.letters
    assert (letter.reason, letter.step) == ("row_too_large", "merge")
    assert letter.added == (("fleet_dl_aggregations", build.id.encode()),)
    assert decode(letter.record.value) == partial(build, {"a": [share(0, 1, two)]}, judged=False)
    assert (letter.record.topic, letter.record.partition, letter.record.offset) == ("partials", PARTITION, 1)
    assert stage.progress(build).refused == 1
    assert "bytes" in stage.progress(build).problem
    stage.check(build)


def test_new_keys_over_the_quota_are_refused_and_counted() -> None:
    """Rows that are there go on, other builds too, and once there is room new ones come again."""
    build, other = build_of(limits={"max_keys": 4}), build_of("other")
    stage = Stage2(build, other, partitions=2)
    groups = {name: [share(0)] for name in "abcde"}
    stage.chunk([partial(build, groups), partial(other, groups)])
    stage.chunk([partial(build, {"a": [share(0)], "z": [share(0, 5)]})])
    assert {key[1] for key in stage.rows() if key[0] == build.id} == {'["a"]', '["b"]', '["c"]'}
    assert len([key for key in stage.rows() if key[0] == other.id]) == 5
    progress = stage.progress(build)
    assert (progress.keys, progress.refused, progress.over_quota) == (3, 7, True)
    assert not stage.progress(other).over_quota
    more = changed(build, limits=Limits(max_keys=100))
    stage.plan = a_plan(more, other)
    stage.chunk([partial(build, {"z": [share(0)]})])
    assert (stage.progress(build).keys, stage.progress(build).over_quota) == (4, False)
    stage.check(build)


def test_the_state_of_a_build_that_is_gone_is_purged_in_parts() -> None:
    """Of that build alone, once the plan is newer than what its rows were made under."""
    build, other = build_of(), build_of("by-provider-too")
    stage = Stage2(build, other)
    groups = {f"g{number}": [share(0)] for number in range(7)}
    stage.chunk([partial(build, groups), partial(other, groups)])
    stage.plan = a_plan(other, offset=6)
    stage.ticks()
    assert len(stage.rows()) == 14
    stage.plan = a_plan(other, offset=8)
    with patch("agents.aggregator.merge.MAX_WINDOWS", 3):
        assert stage.tick().tick_again
        assert len(stage.rows()) == 11
        stage.plan = a_plan(build, other)
        stage.chunk([partial(build, groups)])
        assert len(stage.rows()) == 11
        stage.plan = a_plan(other, offset=8)
        assert stage.ticks() == 3
    assert {key[0] for key in stage.rows()} == {other.id}
    assert len(stage.tables[INDEX]) == 7
    assert stage.tables[BUILDS].get(build_key(PARTITION, build.id)) is None
    stage.now_ms += 5_000
    stage.ticks()
    assert len(stage.tables[PENDING]) == 0
    stage.check(other)


def test_partials_of_builds_that_are_gone_are_dropped() -> None:
    """A build that is not in the plan was deleted: the plan is as new as the partials are."""
    build = build_of()
    stage = Stage2(build)
    stage.plan = Plan({}, 9)
    assert stage.chunk([partial(build, {"a": [share(0)]}, 5), marks(build, 9)]).is_empty()


def test_a_chunk_waits_for_the_definitions_it_was_made_under() -> None:
    """And goes on once they have been read."""
    stage = Stage2(build_of())
    chunk = [SourceRecord(b"", headers=(("fleet_config", text),)) for text in (b"3", b"12", b"x")]
    with pytest.raises(TransientError, match="offset 7, not yet to 12"):
        asyncio.run(stage.merger.prepare(chunk))
    stage.config_offset = 12
    asyncio.run(stage.merger.prepare(chunk))


def test_what_is_no_message_becomes_a_dead_letter() -> None:
    """Of itself alone."""
    build = build_of()
    stage = Stage2(build)
    stage.chunk([b"{", partial(build, {"a": [share(0)]}), b""])
    assert [letter.reason for letter in stage.letters] == ["not_a_partial"] * 2
    assert len(stage.rows()) == 1


def test_a_result_that_cannot_be_written_stops_no_other() -> None:
    """It is counted, and the build says why; rows, other groups and other builds go on."""
    build = build_of(functions=SUM, every_ms=0)
    stage = Stage2(build)
    huge = share(0, 1, [str(10**40)])
    stage.chunk([partial(build, {"a": [huge], "b": [share(0, 1, ["5"])]}, 0)])
    stage.chunk([marks(build, MINUTE_MS)])
    assert [each["provider"] for each in stage.results] == ["b", "b"]
    progress = stage.progress(build)
    assert (progress.unwritten, len(stage.rows())) == (2, 2)
    assert "total" in progress.problem


def test_updates_wait_for_a_schema_that_was_not_looked_up() -> None:
    """A tick has no time to look one up: the next chunk does, and nothing is lost until then."""
    build = build_of()
    stage = Stage2(build)
    stage.chunk([partial(build, {"a": [share(0)]})])
    stage.chunk([partial(build, {"a": [share(0)]})])
    known = dict(stage.codec._schemas)
    stage.codec._schemas.clear()
    stage.now_ms += 5_000
    assert stage.tick().is_empty()
    stage.codec._schemas.update(known)
    stage.tick()
    assert counts(stage) == [("a", 1, False), ("a", 2, False)]


def test_without_windows_there_is_one_row_for_ever() -> None:
    """It never closes and never expires, and its results have no window."""
    build = build_of(mode="updates", windows={"kind": "none"}, retention_ms=0, every_ms=0)
    stage = Stage2(build)
    whole: Share = (*ALL_TIME, 1, [1])
    stage.chunk([partial(build, {"a": [whole]}, 10**14)])
    stage.chunk([partial(build, {"a": [whole]}, 10**14 + 1)])
    assert counts(stage) == [("a", 1, False), ("a", 2, False)]
    assert stage.results[0]["window_end"] is None
    assert stage.late == {}
    assert len(stage.tables[ROWS]) == 1


def test_a_clock_that_is_put_back_keeps_no_update_for_ever() -> None:
    """What is put off then is written once the clock has come back."""
    build = build_of()
    stage = Stage2(build)
    stage.chunk([partial(build, {"a": [share(0)], "b": [share(0)]})])
    stage.chunk([partial(build, {"b": [share(0)]})])
    stage.now_ms += 5_000
    stage.tick()
    assert counts(stage)[-1] == ("b", 2, False)
    stage.now_ms -= 4_500
    stage.chunk([partial(build, {"a": [share(0)]})])
    stage.now_ms += 6_000
    stage.ticks()
    assert counts(stage)[-1] == ("a", 2, False)
