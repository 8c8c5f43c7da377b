"""The first stage over records in memory: what it writes to the second, what is late, what is set aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from agents.aggregator.aggregating import LATE
from agents.aggregator.domain.messages import (
    Begun,
    Mark,
    Marks,
    Partial,
    Source,
    Standing,
    decode,
    decode_begun,
)
from agents.aggregator.domain.plan import Plan
from agents.aggregator.domain.progress import SourceProgress, source_progress
from agents.aggregator.partials import SOURCES, Partials
from fleet.lane import Emit, Followed, Redriven, Repartition, Tick
from fleet.lane.partitioner import partition_of
from fleet.lane.state import State
from schemas.codec import Codec
from tables.aggregations.calculation import Start
from tests.support.agents_claims import NPI, TIME, a_claim
from tests.support.agents_memory import Partition
from tests.support.agents_schemas import warmed_codec
from tests.support.aggregate_definitions import a_build, a_plan
from tests.support.lane_fakes import SourceRecord

PARTIALS = Repartition("partials", 3)
BEGUN = Repartition("begun", 2)
IDLE_MS = 30_000
TOPIC = "canonical.claim"
GROUP = f'["{NPI}"]'
TIME_MS = int(TIME.timestamp() * 1_000)


@pytest.fixture
async def codec() -> Codec:
    """A codec over the catalogue's schemas."""
    return await warmed_codec()


class Stage:
    """One slot of the first stage, with the plan that it works by."""

    def __init__(self, codec: Codec, plan: Plan) -> None:
        self.plan = plan
        self._codec = codec
        self._partials = Partials(codec, PARTIALS, BEGUN, IDLE_MS)
        self.slot = Partition(self._partials.process, [SOURCES])

    def take(self, *records: Any) -> Stage:
        """Process records in one chunk."""
        self.slot.chunk(records, self.plan)
        return self

    def tick(
        self, after_ms: int = 0, offset: int = 0, *, caught_up: bool = True, followed: bool = True
    ) -> list[Mark]:
        """Tick; return what was told to all partitions, which is the same to each."""
        known = {TopicPartition(TOPIC, 0): Followed(offset, 6, caught_up)} if followed else {}
        tick = Tick(after_ms, known)
        before = len(self.slot.emits)
        ticking = Partition(lambda _, state: self._partials.on_tick(tick, state), [])
        ticking.tables = self.slot.tables
        ticking.chunk([], self.plan)
        self.slot.emits += ticking.emits
        told = [
            decode(emit.value or b"") for emit in self.slot.emits[before:] if emit.topic == PARTIALS.topic
        ]
        marks = [message for message in told if isinstance(message, Marks)]
        assert len(marks) in (0, PARTIALS.partitions)
        assert all(each == marks[0] for each in marks)
        return marks[0].marks if marks else []

    def partials(self) -> Iterator[tuple[int | None, Partial]]:
        """Yield the partial aggregates written so far, with their partition."""
        for emit in self.slot.to(PARTIALS.topic):
            message = decode(emit.value or b"")
            if isinstance(message, Partial):
                yield emit.partition, message

    def progress(self) -> SourceProgress:
        """Return how far it has got in partition 0."""
        return source_progress(self.slot.rows(SOURCES)[f"{TOPIC}/0"])

    def record(self, offset: int, seconds: int = 0, **fields: Any) -> SourceRecord:
        """Return a claim so many seconds after `TIME`."""
        value = self._codec.encode(
            f"{TOPIC}-value", a_claim(time=TIME + timedelta(seconds=seconds), **fields)
        )
        published_ms = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1_000)
        return SourceRecord(value, offset, b"key", TOPIC, 0, published_ms)


def of_group(stage: Stage, group: str = GROUP) -> list[Any]:
    """Return the shares of a group, as they were written."""
    return [share for _, partial in stage.partials() for share in partial.groups.get(group, [])]


def test_a_chunk_gives_one_message_for_each_partition_of_groups(codec: Codec) -> None:
    """Each group goes where its key says, with how far the source has got after the chunk."""
    stage = Stage(codec, a_plan(a_build()))
    npis = [str(number) for number in range(9)]
    stage.take(*(stage.record(offset, offset, npi=npi) for offset, npi in enumerate(npis)))
    found = dict(stage.partials())
    assert len(found) == len(list(stage.partials())) == PARTIALS.partitions
    assert sorted(group for partial in found.values() for group in partial.groups) == [
        f'["{n}"]' for n in npis
    ]
    for partition, partial in found.items():
        assert {partition_of(group.encode(), 3) for group in partial.groups} == {partition}
        assert partial.mark == Mark("by-provider~1", Source(TOPIC, 0), 1, TIME_MS + 8_000)


def test_only_the_topics_of_active_builds_are_followed(codec: Codec) -> None:
    """As the plan says at each moment."""
    partials = Partials(codec, PARTIALS, BEGUN, IDLE_MS)

    def topics(plan: Plan) -> list[str]:
        return [follow.topic for follow in partials.follows(State({}, 0, plan))]

    paused = a_build(name="paused", state="paused", sources=["other"])
    assert topics(a_plan(a_build(), paused)) == [TOPIC]
    assert topics(a_plan()) == []


def test_a_build_begins_where_its_source_stands(codec: Codec) -> None:
    """With the tick that finds it, or with the first chunk; its history is asked for, once."""
    stage = Stage(codec, a_plan(a_build(start=Start.EARLIEST), a_build(name="latest")))
    stage.tick(offset=41)
    stage.take(stage.record(43)).tick()
    told = [(emit.partition, decode_begun(emit.value or b"")) for emit in stage.slot.to(BEGUN.topic)]
    assert [begun for _, begun in told] == [Begun("by-provider~1", TOPIC, 0, 6, 41)]
    assert {name: each.begun for name, each in stage.progress().builds.items()} == {
        "by-provider~1": 41,
        "latest~1": 41,
    }
    stage.plan = a_plan(a_build(start=Start.EARLIEST), a_build(name="new"))
    stage.take(stage.record(50))
    assert {name: each.begun for name, each in stage.progress().builds.items()} == {
        "by-provider~1": 41,
        "new~1": 50,
    }


def test_how_far_sources_are_is_told_to_all_once(codec: Codec) -> None:
    """Also that they have nothing yet; and again only when that changes."""
    stage = Stage(codec, a_plan(a_build()))
    source = Source(TOPIC, 0)
    assert stage.tick() == [Mark("by-provider~1", source, 6, None)]
    assert stage.tick() == []
    stage.take(stage.record(0, 5))
    assert stage.tick() == [Mark("by-provider~1", source, 6, TIME_MS + 5_000)]
    assert stage.tick() == []


def test_a_source_is_idle_only_when_all_of_it_is_read(codec: Codec) -> None:
    """And for long enough; the next event ends that."""
    stage = Stage(codec, a_plan(a_build()))
    stage.take(stage.record(0))
    stage.tick()
    assert stage.tick(IDLE_MS - 1) == []
    assert stage.tick(IDLE_MS, caught_up=False) == []
    (mark,) = stage.tick(IDLE_MS)
    assert (mark.standing, mark.watermark_ms) == (Standing.IDLE, TIME_MS)
    assert stage.tick(IDLE_MS * 2, caught_up=False) == []
    stage.take(stage.record(1, 1))
    (mark,) = stage.tick()
    assert mark.standing is Standing.LIVE


def test_a_late_event_is_written_whole_with_what_it_missed(codec: Codec) -> None:
    """For each build that it is late for."""
    stage = Stage(codec, a_plan(a_build(), a_build(name="patient", grace_ms=3_600_000)))
    late = stage.record(1, 0)
    stage.take(stage.record(0, 120), late)
    (emit,) = stage.slot.to(LATE)
    headers = dict(emit.headers)
    assert (emit.key, emit.value) == (late.key, late.value)
    assert headers["fleet_aggregation"] == b"by-provider~1"
    assert headers["fleet_late_reason"] == b"after_close"
    assert headers["fleet_late_source"] == b"canonical.claim/0/1"
    assert headers["fleet_late_windows"] == b"2026-01-05T13:30:00Z/2026-01-05T13:31:00Z"
    assert {name: each.late for name, each in stage.progress().builds.items()} == {
        "by-provider~1": 1,
        "patient~1": 0,
    }


def test_what_is_late_or_refused_is_told_to_all(codec: Codec) -> None:
    """Also where it moves no watermark, and once: queries count it wherever they are answered."""
    stage = Stage(codec, a_plan(a_build()))
    stage.take(stage.record(0, 120))
    stage.tick()
    stage.take(stage.record(1, 0), stage.record(2, 0))
    (mark,) = stage.tick()
    assert (mark.watermark_ms, mark.late, mark.refused) == (TIME_MS + 120_000, 2, 0)
    assert stage.tick() == []
    stage.take(stage.record(3, 86_400 * 400))  # Too far in the future to be taken.
    (mark,) = stage.tick()
    assert (mark.late, mark.refused) == (2, 1)


def test_a_paused_build_takes_nothing_and_tells_the_gap(codec: Codec) -> None:
    """When it goes on, what came meanwhile is left out, and that is known."""
    running, paused = a_plan(a_build()), a_plan(a_build(state="paused"))
    stage = Stage(codec, running).take(stage_record(codec, 0))
    stage.plan = paused
    stage.tick()
    stage.take(stage_record(codec, 1))
    stage.plan = running
    stage.take(stage_record(codec, 2))
    progress = stage.progress().builds["by-provider~1"]
    assert (progress.taken, progress.gaps, progress.next) == (2, [(1, 2)], 3)
    assert [share[2] for share in of_group(stage)] == [1, 1]


def test_a_source_that_nobody_wants_any_more_is_told_as_a_gap_when_it_is(codec: Codec) -> None:
    """It is not followed meanwhile, and goes on at its end; what is gone leaves no row."""
    running = a_plan(a_build())
    stage = Stage(codec, running).take(stage_record(codec, 0))
    stage.plan = a_plan(a_build(state="paused"))
    stage.tick(followed=False)
    stage.plan = running
    stage.tick(offset=9)
    stage.take(stage_record(codec, 9))
    assert stage.progress().builds["by-provider~1"].gaps == [(1, 9)]
    stage.plan = a_plan()
    stage.tick(followed=False)
    assert stage.slot.rows(SOURCES) == {}


def test_a_quiet_tick_does_nothing(codec: Codec) -> None:
    """However often it comes; and a new plan is looked at."""
    stage = Stage(codec, a_plan(a_build())).take(stage_record(codec, 0))
    stage.tick()
    before = len(stage.slot.emits), stage.slot.rows(SOURCES)
    for _ in range(3):
        stage.tick()
    assert (len(stage.slot.emits), stage.slot.rows(SOURCES)) == before
    stage.plan = a_plan(a_build(), a_build(name="new"))
    assert [mark.build for mark in stage.tick()] == ["new~1"]


def stage_record(codec: Codec, offset: int) -> SourceRecord:
    """Return a claim."""
    return Stage(codec, a_plan()).record(offset)


def test_a_dead_letter_names_the_builds_that_lack_the_event(codec: Codec) -> None:
    """One build's expression costs the others nothing; what nobody can decode all lack."""
    odd = a_build(name="odd", group_by={"n": "event.billing_provider.npi.size() / 0"})
    stage = Stage(codec, a_plan(a_build(), odd))
    junk = SourceRecord(b"\0\0\0\0\1junk", 1, b"key", TOPIC, 0)
    stage.take(stage.record(0), junk)
    letters = [(each.record.offset, each.reason, dict(each.added)) for each in stage.slot.dead_letters]
    assert letters == [
        (1, "not_avro", {"fleet_dl_aggregations": b"by-provider~1,odd~1"}),
        (0, "expression_failed", {"fleet_dl_aggregations": b"odd~1"}),
    ]
    assert [share[2] for share in of_group(stage)] == [1]


@pytest.mark.parametrize(("named", "builds"), [("odd~1", ["odd~1"]), (None, ["by-provider~1", "odd~1"])])
def test_what_comes_back_counts_where_it_lacked(
    codec: Codec, named: str | None, builds: Sequence[str]
) -> None:
    """And is not judged: its source has long gone on."""
    stage = Stage(codec, a_plan(a_build(), a_build(name="odd")))
    record = stage.record(7)
    letter = {} if named is None else {"aggregations": named}
    back = Redriven(
        TOPIC, 0, 7, record.timestamp, record.key, record.value, (), letter, 2, 0, "inbox/0/0", ()
    )
    stage.take(back)
    found = [partial for _, partial in stage.partials()]
    assert sorted(partial.build for partial in found) == builds
    assert all(not partial.judged and partial.mark is None for partial in found)
    assert stage.slot.rows(SOURCES) == {}


def test_every_message_says_which_definitions_it_was_made_by(codec: Codec) -> None:
    """So that the second stage waits until it has them."""
    stage = Stage(codec, a_plan(a_build(start=Start.EARLIEST), offset=99))
    stage.take(stage.record(0)).tick()
    emits = [emit for emit in stage.slot.emits if isinstance(emit, Emit)]
    assert {dict(emit.headers).get("fleet_config") for emit in emits} == {b"99"}
    assert {emit.topic for emit in emits} == {PARTIALS.topic, BEGUN.topic}
