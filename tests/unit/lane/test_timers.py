"""Timers: the same results however records are cut into chunks, in the order of time, then name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import FatalError
from fleet.lane.agent import LaneAgent
from fleet.lane.dead_letters import dead_letter_headers, reason_of
from fleet.lane.effects import CancelTimer, Effect, Emit, Put, SetTimer
from fleet.lane.firing import MOST_FIRED, Firing
from fleet.lane.staging import Stage, any_effect, run
from fleet.lane.state import State
from fleet.lane.stores.memory import MemoryStore
from fleet.lane.timers import Timer
from tests.support.lane_fakes import SourceRecord


def event(name: str, at: int, **set_: int) -> bytes:
    """Return a record's value: its event time, and what it does to the timer of its name."""
    return orjson.dumps({"name": name, "at": at, **set_})


def process(chunk: Any, state: State) -> Iterator[Effect]:
    """Set, move or cancel the timer that the record names; a record may be poison after it did."""
    for record in chunk:
        given = orjson.loads(record.value)
        if "cancel" in given:
            yield CancelTimer(given["name"])
        if "set" in given:
            yield SetTimer(given["name"], given["set"], payload=given["at"])
        if "wall" in given:
            yield SetTimer(given["name"], given["wall"], domain="wall")
        yield Put("t", given["name"], state.get("t", given["name"], 0) + 1)
        yield Emit("out", b"record", record.value)
        if "poison" in given:
            raise ValueError


def on_timer(timer: Timer, state: State) -> Iterator[Effect]:
    """Tell of the timer with its row; now and then it sets the next one, or fails halfway."""
    yield Emit(
        "out", b"timer", orjson.dumps([timer.name, timer.at_ms, timer.payload, state.get("t", timer.name)])
    )
    if timer.at_ms % 5 == 0:
        yield SetTimer(timer.name, timer.at_ms + 7, domain=timer.domain, payload="again")
    if timer.at_ms % 7 == 0:
        raise ValueError


AGENT = LaneAgent(
    name="a",
    sources=("source",),
    process=process,
    on_timer=on_timer,
    event_time=lambda record: orjson.loads(record.value or b"")["at"],
    tables=("t",),
    dead_letters="dead",
)


class Partition:
    """A partition that the agent works on, without Kafka."""

    def __init__(self, agent: LaneAgent = AGENT) -> None:
        self.agent = agent
        self.stores = {table: MemoryStore() for table in agent.tables}
        self.outputs: list[tuple[bytes | None, bytes | None]] = []
        self.letters: list[tuple[str, str, int, int]] = []

    def firing(self, most: int = MOST_FIRED, now_ms: int = 0) -> Firing:
        """Return the next chunk."""
        return Firing(self.agent, State(self.stores, 0, None, now_ms), "timers", any_effect, most)

    def commit(self, stage: Stage) -> Stage:
        """Make a chunk the committed one."""
        for table, rows in stage.state.staged.items():
            self.stores[table].apply(rows, {}, None)
        self.outputs += [(emit.key, emit.value) for emit in stage.outputs()]
        for letter in stage.dead_letters:
            record = letter.record
            self.letters.append((letter.step, record.topic, record.offset, record.timestamp))
        return stage

    def work(self, values: Sequence[bytes], cuts: Sequence[int], most: int) -> None:
        """Process records, cut into chunks of these lengths, to the last due timer."""
        records: list[Any] = [SourceRecord(value, offset) for offset, value in enumerate(values)]
        lengths = iter(cuts)
        while records:
            length = next(lengths, 1)
            stage = self.commit(self.firing(most).records(records[:length]))
            records = records[min(length, len(records)) - stage.left :]
        for _ in range(1000):  # The rest of what is due fires in chunks without records.
            if not self.commit(self.firing(most).records([])).state.staged["a-timers"]:
                return
        raise AssertionError("timers without end")

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return all rows of all tables."""
        return {name: dict(store.items()) for name, store in self.stores.items()}

    def fired(self) -> list[tuple[str, int]]:
        """Return name and time of the timers that fired, in order."""
        return [tuple(orjson.loads(value or b"")[:2]) for key, value in self.outputs if key == b"timer"]


VALUES = st.builds(
    lambda name, at, what, to: event(name, at, **({what: to} if what else {})),
    st.sampled_from("abc"),
    st.integers(-3, 40),
    st.sampled_from(["", "set", "set", "cancel", "poison"]),
    st.integers(-3, 50),
) | st.builds(lambda at, to: event("p", at, set=to, poison=1), st.integers(0, 40), st.integers(0, 50))


@given(st.lists(VALUES, max_size=25), st.lists(st.integers(1, 8), max_size=25), st.integers(1, 4))
def test_results_do_not_depend_on_the_cuts(values: list[bytes], cuts: list[int], most: int) -> None:
    """Outputs with their order, dead letters, rows and timers: as if records came one by one."""
    whole, cut = Partition(), Partition()
    whole.work(values, [1] * len(values), MOST_FIRED)
    cut.work(values, cuts, most)
    assert (cut.outputs, cut.letters, cut.rows()) == (whole.outputs, whole.letters, whole.rows())


def test_a_timer_fires_right_after_the_record_that_reaches_it() -> None:
    """Of those that one record makes due the earliest first, of equal ones by name; none twice."""
    partition = Partition()
    values = [event(n, 1, set=at) for n, at in (("z", 11), ("b", 13), ("a", 13), ("later", 99))]
    partition.work([*values, event("x", 12), event("x", 13), event("x", 98)], [9], MOST_FIRED)
    assert partition.fired() == [("z", 11), ("a", 13), ("b", 13)]
    kinds = [(key or b"")[:1] for key, _ in partition.outputs[4:]]
    assert b"".join(kinds) == b"rtrttr"


def test_a_timer_set_again_moves_and_a_cancelled_one_does_not_fire() -> None:
    """One timer of a name: the last one set; committed or of the same chunk alike."""
    for cuts in ([1, 1, 1, 1, 1], [5]):
        partition = Partition()
        values = [event("a", 1, set=3), event("b", 1, set=3), event("a", 2, set=8), event("b", 2, cancel=1)]
        partition.work([*values, event("x", 9)], cuts, MOST_FIRED)
        assert partition.fired() == [("a", 8)]
        assert partition.rows()["a-timers"] == {"time": 9}


def test_event_time_does_not_go_back() -> None:
    """A late record makes nothing due, and a timer set for what has passed fires after its record."""
    partition = Partition()
    partition.work([event("x", 50), event("a", 3, set=22), event("b", 4, set=51)], [], MOST_FIRED)
    assert partition.fired() == [("a", 22)]


def test_wall_timers_fire_by_the_clock_alone() -> None:
    """Event time does not matter to them, nor the clock to the others; fired ones are gone."""
    partition = Partition()
    partition.work([event("a", 1, wall=101), event("b", 1, wall=103), event("c", 999, set=2000)], [3], 9)
    for now_ms, fired in ((100, []), (102, [("a", 101)]), (102, []), (2001, [("b", 103)])):
        partition.outputs.clear()
        partition.commit(partition.firing(now_ms=now_ms).wall())
        assert partition.fired() == fired


def test_a_timer_that_raises_becomes_a_dead_letter() -> None:
    """It is set aside with its name, payload and time; what it did is undone, and it does not come back."""
    partition = Partition()
    stage = partition.commit(partition.firing().records([SourceRecord(event("a", 30, set=14))]))
    (letter,) = stage.dead_letters
    why = reason_of(dead_letter_headers("a", letter))
    assert (why["reason"], why["step"], why["detail"]) == ("timer_error", "timer", "ValueError")
    assert (why["topic"], why["offset"], why["timestamp"]) == ("timers", "-1", "14")
    assert (letter.record.key, letter.record.value) == (b"a", b"30")
    assert partition.fired() == []
    assert list(partition.rows()["a-timers"]) == ["time"]


def test_a_timer_that_sets_one_not_later_than_itself_is_at_fault() -> None:
    """It would fire for ever."""

    def again(timer: Timer, state: State) -> Iterator[Effect]:
        del state
        yield SetTimer("b", timer.at_ms, domain=timer.domain)

    agent = LaneAgent(
        name="a", sources=("s",), process=process, on_timer=again, tables=("t",), dead_letters="d"
    )
    partition = Partition(agent)
    partition.work([event("a", 1, wall=5)], [], MOST_FIRED)
    stage = partition.commit(partition.firing(now_ms=9).wall())
    assert [letter.step for letter in stage.dead_letters] == ["timer"]
    assert partition.rows()["a-timers"] == {}


@pytest.mark.parametrize("wrong", [{"at_ms": 1.5}, {"at_ms": 10**15}, {"at_ms": True}, {"domain": "moon"}])
def test_a_timer_that_cannot_be_is_the_fault_of_its_record(wrong: dict[str, Any]) -> None:
    """The record becomes a dead letter; no half of the timer is left."""

    def sets(chunk: Any, state: State) -> Iterator[Effect]:
        del chunk, state
        yield SetTimer(**{"name": "a", "at_ms": 1, **wrong})

    agent = LaneAgent(name="a", sources=("s",), process=sets, on_timer=on_timer, dead_letters="d")
    partition = Partition(agent)
    stage = partition.commit(partition.firing().records([SourceRecord(b"")]))
    assert len(stage.dead_letters) == 1
    assert partition.rows()["a-timers"] == {}


def test_an_agent_without_on_timer_cannot_set_one() -> None:
    """It halts, and says what it lacks."""
    agent = LaneAgent(name="a", sources=("s",), process=process, tables=("t",), dead_letters="d")
    with pytest.raises(FatalError, match="give it an on_timer"):
        run(agent, [SourceRecord(event("a", 1, set=2))], lambda: State({"t": MemoryStore()}, 0))
