"""An agent ticks between its chunks: in transactions of its own, and never in the way of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet.lane import DeadLetter, Emit, Follow, LaneAgent, Put, TickAgain
from fleet.lane.errors import Lost
from tests.support.lane_host import local_lane
from tests.support.lane_load import LIMIT_S, Load
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.lane import Chunk, Effect, State, Tick
    from tests.support.lane_host import LocalLane
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

SLOW_S = 3600.0


class Ticking:
    """An agent that ticks.

    Attributes:
        ticks: What it was told.
        answer: What its ticks yield.
        wanted: What it follows.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.ticks: list[Tick] = []
        self.answer: Callable[[State], Iterator[Effect]] = lambda _state: iter(())
        self.wanted: tuple[Follow, ...] = ()

    def agent(self, every_s: float = 0.05) -> LaneAgent:
        """Return it: its output of a record is the record's value."""

        def process(chunk: Chunk, state: State) -> Iterator[Effect]:
            del state
            for record in chunk:
                yield Emit(self.out, record.key, record.value, cause=record)

        def on_tick(tick: Tick, state: State) -> Iterator[Effect]:
            assert tick.now_ms == state.now_ms
            self.ticks.append(tick)
            yield from self.answer(state)

        return LaneAgent(
            name="ticking",
            sources=(self.load.source,),
            follows=lambda _state: self.wanted,
            process=process,
            on_tick=on_tick,
            tick_every_s=every_s,
            tables=("count",),
            dead_letters=f"{self.load.source}-dead",
            dead_letter_limit=None,
        )

    @property
    def out(self) -> str:
        """Topic of its outputs."""
        return f"{self.load.source}-a"

    async def outputs(self) -> list[bytes | None]:
        """Return its outputs."""
        return [each.value for each in await self.load.cluster.read(self.out)]

    async def ticked(self, more: int = 1) -> None:
        """Wait for further ticks."""
        wanted = len(self.ticks) + more

        async def enough() -> bool:
            return len(self.ticks) >= wanted

        await until(enough, LIMIT_S, f"{wanted} ticks")


@pytest.fixture
async def ticking(cluster: Cluster, unique: Callable[[str], str]) -> Ticking:
    """An agent with one source, on a load without charges."""
    return Ticking(await Load.prepared(cluster, unique, seed=1))


async def send(ticking: Ticking, topic: str, *values: bytes) -> None:
    """Write to partition 0 of a topic."""
    async with ticking.load.cluster.producer() as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def test_a_tick_that_yields_nothing_is_no_transaction(ticking: Ticking) -> None:
    """The group has committed nothing; what a later tick yields is visible, its rows read by the next."""

    def counted(state: State) -> Iterator[Effect]:
        count = state.get("count", "ticks", 0)
        if count < 3:
            yield Put("count", "ticks", count + 1)
            yield Emit(ticking.out, None, b"%d" % count)

    async with local_lane(ticking.load, ticking.agent(), assigned=[0]) as lane:
        await ticking.ticked(3)
        assert await ticking.load.committed() == 0
        hold = lane.task(0).hold
        assert hold is not None
        assert not any(store.offsets for store in hold.tables.values())
        ticking.answer = counted

        async def all_there() -> bool:
            return len(await ticking.outputs()) == 3

        await until(all_there, LIMIT_S, "three outputs")
        await ticking.ticked(2)
        assert await ticking.outputs() == [b"0", b"1", b"2"]


async def test_a_tick_may_ask_for_another_and_records_have_their_turn(ticking: Ticking) -> None:
    """Without waiting for the time, for as long as there is something to commit with it."""
    went_on = 0

    def again(state: State) -> Iterator[Effect]:
        nonlocal went_on
        done = state.get("count", "done", 0)
        went_on = done
        if b"record" not in seen:
            yield Put("count", "done", done + 1)
        yield TickAgain()

    seen: list[bytes | None] = []
    ticking.answer = again
    async with local_lane(ticking.load, ticking.agent(SLOW_S), assigned=[0]):
        await ticking.ticked(5)
        await send(ticking, ticking.load.source, b"record")

        async def arrived() -> bool:
            seen[:] = await ticking.outputs()
            return bool(seen)

        await until(arrived, LIMIT_S, "the record among ticks without end")
        assert went_on >= 4


async def test_what_is_followed_is_told_and_when_all_of_it_is_read(
    ticking: Ticking, unique: Callable[[str], str]
) -> None:
    """With the next offset, the partitions of the topic, and whether it is caught up."""
    topic = unique("followed")
    await ticking.load.cluster.create({topic: 1})
    async with local_lane(ticking.load, ticking.agent(), assigned=[0]):
        await ticking.ticked()
        assert ticking.ticks[-1].followed == {}
        ticking.wanted = (Follow(topic, "earliest", partition=0, token="t"),)  # noqa: S106 - no password
        await send(ticking, topic, b"1", b"2")

        async def caught_up() -> bool:
            told = ticking.ticks[-1].followed.get((topic, 0))
            return told is not None and told.next == 2 and told.caught_up

        await until(caught_up, LIMIT_S, "the followed partition read to its end")
        (told,) = ticking.ticks[-1].followed.values()
        assert (told.partitions, told.token) == (1, "t")
        assert await ticking.outputs() == [b"1", b"2"]


@pytest.mark.parametrize(
    ("effect", "says"),
    [
        (lambda: 1 / 0, "agent ticking: on_tick fails (ZeroDivisionError)"),
        (lambda: Put("count", "x", object()), "agent ticking: on_tick: a row of table count is not JSON"),
        (lambda: Emit("missing", None, b""), "agent output refused: target topic missing does not exist"),
        (lambda: DeadLetter(None, "why", "tick"), "a dead letter without its source record"),
    ],
)
async def test_an_agents_bug_in_a_tick_halts_the_task(
    ticking: Ticking, effect: Callable[[], Effect], says: str
) -> None:
    """There is no record to set aside: it says what it is, and goes on once it is mended."""

    def wrong(state: State) -> Iterator[Effect]:
        del state
        yield effect()

    ticking.answer = wrong
    async with local_lane(ticking.load, ticking.agent(), assigned=[0], halted_retry_s=0.2) as lane:
        await lane.becomes({0: "halted"})
        assert says in lane.task(0).reason
        ticking.answer = lambda _state: iter(())
        await lane.becomes({0: "running"})


async def test_a_tick_comes_at_once_after_the_partition_is_acquired_again(ticking: Ticking) -> None:
    """However long it is from one to the next otherwise."""
    async with local_lane(ticking.load, ticking.agent(SLOW_S), assigned=[0]) as lane:
        await lane.becomes({0: "running"})
        await _first(ticking, lane)
        lane.task(0).end(Lost("a test"))
        await ticking.ticked()
        assert len(ticking.ticks) == 2


async def _first(ticking: Ticking, lane: LocalLane) -> None:
    async def once() -> bool:
        return lane.task(0).hold is not None and len(ticking.ticks) == 1

    await until(once, LIMIT_S, "one tick")
