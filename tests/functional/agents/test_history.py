"""The history of builds over records in memory: read once, up to where each began, and ended."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from agents.aggregator.domain.messages import Begun, Marks, Partial, Source, Standing, decode, encode
from agents.aggregator.domain.plan import Plan
from agents.aggregator.history import HISTORIES, History
from fleet.errors import TransientError
from fleet.lane import Follow, Followed, Repartition, Tick
from fleet.lane.state import State
from schemas.codec import Codec
from tables.aggregations.calculation import Start
from tests.support.agents_claims import a_claim
from tests.support.agents_memory import Partition
from tests.support.agents_schemas import warmed_codec
from tests.support.aggregate_definitions import a_build, a_plan
from tests.support.lane_fakes import SourceRecord

HISTORY = Repartition("history", 2)
BEGUN = Repartition("begun", 2)
TOPIC = "canonical.claim"
ONE, TWO = "one~1", "two~1"


@pytest.fixture
async def codec() -> Codec:
    """A codec over the catalogue's schemas."""
    return await warmed_codec()


class Reading:
    """One slot that reads histories, with the plan that it works by."""

    def __init__(self, codec: Codec) -> None:
        self.plan: Plan = a_plan(*(a_build(name=name, start=Start.EARLIEST) for name in ("one", "two")))
        self._value = codec.encode(f"{TOPIC}-value", a_claim())
        self.history = History(codec, HISTORY, BEGUN, lambda: self.plan)
        self.slot = Partition(self.history.process, [HISTORIES])

    def began(self, build: str, offset: int) -> Reading:
        """Note that a build began at an offset of partition 3."""
        value = encode(Begun(build, TOPIC, 3, 6, offset))
        self.slot.chunk([SourceRecord(value, 0, None, BEGUN.topic)], self.plan)
        return self

    def read(self, first: int, last: int) -> Reading:
        """Process the records from offset `first` to `last`."""
        offsets = range(first, last + 1)
        records = [SourceRecord(self._value, each, b"k", TOPIC, 3, 2 * 10**12) for each in offsets]
        self.slot.chunk(records, self.plan)
        return self

    def tick(self, offset: int = 0, *, caught_up: bool = False) -> Reading:
        """Tick, where the partition is followed up to an offset."""
        followed = {TopicPartition(TOPIC, 3): Followed(offset, 6, caught_up)} if self.follows() else {}
        ticking = Partition(lambda _, state: self.history.on_tick(Tick(0, followed), state), [])
        ticking.tables = self.slot.tables
        ticking.chunk([], self.plan)
        self.slot.emits += ticking.emits
        return self

    def follows(self) -> tuple[Follow, ...]:
        """Return what it follows."""
        return self.history.follows(State(self.slot.tables, 0, self.plan))

    def messages(self) -> list[Any]:
        """Return all that was written."""
        return [decode(emit.value or b"") for emit in self.slot.emits]

    def counts(self) -> dict[str, int]:
        """Return the events that were aggregated, by build."""
        found: dict[str, int] = {}
        for message in self.messages():
            for shares in message.groups.values() if isinstance(message, Partial) else ():
                found[message.build] = found.get(message.build, 0) + sum(share[2] for share in shares)
        return found

    def done(self) -> list[str]:
        """Return the builds whose history was ended, as each partition of the second stage was told."""
        told: list[list[str]] = []
        for number in range(HISTORY.partitions):
            messages = [decode(emit.value or b"") for emit in self.slot.emits if emit.partition == number]
            marks = [mark for message in messages if isinstance(message, Marks) for mark in message.marks]
            assert all(mark.source == Source(TOPIC, 3, history=True) for mark in marks)
            told.append([mark.build for mark in marks if mark.standing is Standing.DONE])
        assert told == [told[0]] * HISTORY.partitions
        return told[0]


def test_what_was_there_before_a_build_is_read_and_nothing_else(codec: Codec) -> None:
    """Up to where it began; then the partition is no longer followed."""
    reading = Reading(codec).began(ONE, 5).tick()
    assert reading.follows() == (Follow(TOPIC, start="earliest", partition=3, token=ONE),)
    reading.read(0, 2).read(3, 7)
    assert (reading.counts(), reading.done(), reading.follows()) == ({ONE: 5}, [ONE], ())
    assert reading.slot.rows(HISTORIES) == {}
    assert reading.tick().done() == [ONE]


def test_what_is_left_is_told(codec: Codec) -> None:
    """Offset by offset, for people who wait for it; nothing once it has ended."""
    reading = Reading(codec).began(ONE, 5).tick().tick()
    reading.read(0, 2).tick(offset=3)
    reading.read(3, 4)
    told = [message.marks[0].left for message in reading.messages() if isinstance(message, Marks)]
    assert told == [left for left in (5, 2, 0) for _ in range(HISTORY.partitions)]


def test_all_its_messages_are_of_a_source_of_its_own(codec: Codec) -> None:
    """What comes meanwhile has a watermark of its own, and does not make history late."""
    reading = Reading(codec).began(ONE, 2).tick().read(0, 1)
    partials = [message for message in reading.messages() if isinstance(message, Partial)]
    assert {partial.source for partial in partials} == {Source(TOPIC, 3, history=True)}
    assert all(partial.mark is not None and partial.mark.source.history for partial in partials)


@pytest.mark.parametrize("stop", [0, 4])
def test_a_history_ends_where_nothing_more_comes(codec: Codec, stop: int) -> None:
    """An empty one, and one whose last offsets are of no record."""
    reading = Reading(codec).began(ONE, stop).tick()
    if stop:
        reading.read(0, 2)
    assert reading.done() == []
    reading.tick(offset=3, caught_up=True)
    assert (reading.done(), reading.follows()) == ([ONE], ())


def test_builds_that_wait_are_read_for_together(codec: Codec) -> None:
    """Each up to where it began; a build that begins meanwhile has its turn afterwards, from the start."""
    reading = Reading(codec).began(ONE, 3).began(TWO, 5).tick()
    reading.read(0, 9)
    assert (reading.counts(), sorted(reading.done())) == ({ONE: 3, TWO: 5}, [ONE, TWO])
    later = Reading(codec).began(ONE, 3).tick().began(TWO, 5).read(0, 1)
    assert later.counts() == {ONE: 2}
    later.read(2, 3)
    assert (later.done(), [follow.token for follow in later.follows()]) == ([ONE], [TWO])
    later.read(0, 4)
    assert (later.counts(), later.done(), later.follows()) == ({ONE: 3, TWO: 5}, [ONE, TWO], ())


def test_a_build_that_is_gone_is_read_for_no_longer(codec: Codec) -> None:
    """Discarded amid its history, it leaves nothing behind."""
    reading = Reading(codec).began(ONE, 5).tick().read(0, 1)
    reading.plan = a_plan(a_build(name="two", start=Start.EARLIEST))
    reading.tick(offset=2)
    assert (reading.done(), reading.follows(), reading.slot.rows(HISTORIES)) == ([], (), {})


async def test_it_waits_for_the_definition_that_began(codec: Codec) -> None:
    """A worker that has not read so far yet would take the build for one that is gone."""
    reading = Reading(codec)
    told = encode(Begun(ONE, TOPIC, 3, 6, 5))
    record = SourceRecord(told, 0, None, BEGUN.topic, 0, 0, (("fleet_config", b"8"),))
    with pytest.raises(TransientError, match="offset 8"):
        await reading.history.prepare([record])
    reading.plan = a_plan(offset=8)
    await reading.history.prepare([record])
