"""How agents in the background give way, by a clock that only waiting and working move on."""

from __future__ import annotations

import pytest

from fleet.lane import background
from fleet.lane.background import Background
from fleet.lane.progress import Progress

CHUNK_S = 0.5


class Course(Progress):
    """The course of a task in simulated time.

    Attributes:
        now_s: The time.
        waits: How long each wait was asked to be.
        busy_until_s: Until when the other agents have work.
    """

    def __init__(self, busy_until_s: float) -> None:
        super().__init__("agent", 0)
        self.now_s = 0.0
        self.waits: list[float] = []
        self.busy_until_s = busy_until_s

    async def until(self, event: object, limit_s: float | None = None) -> None:
        """Let the time pass at once."""
        del event
        assert limit_s is not None
        self.waits.append(limit_s)
        self.now_s += limit_s

    def share(self) -> Background:
        """Return what is shared by tasks in the background."""
        return Background(lambda: self.now_s < self.busy_until_s, lambda: self.now_s)

    async def chunks(self, share: Background, count: int) -> float:
        """Do chunks; return how long they and the waits took."""
        since = self.now_s
        for _ in range(count):
            async with share.turn(self):
                self.now_s += CHUNK_S
        return self.now_s - since


async def test_while_others_have_work_it_has_a_tenth_of_the_time() -> None:
    """Each chunk is followed by nine times as long without one, in waits that are short, and not too many."""
    course = Course(busy_until_s=1000.0)
    took_s = await course.chunks(course.share(), 11)
    assert took_s == pytest.approx(11 * CHUNK_S + 10 * 9 * CHUNK_S)
    assert max(course.waits) <= background.LOOK_EVERY_S
    assert len(course.waits) <= 10 * (9 * CHUNK_S / background.LOOK_EVERY_S + 2)


async def test_without_other_work_it_runs_at_full_speed() -> None:
    """It does not wait at all."""
    course = Course(busy_until_s=0.0)
    assert await course.chunks(course.share(), 10) == 10 * CHUNK_S
    assert course.waits == []


async def test_a_wait_ends_when_the_others_have_done_their_work() -> None:
    """Soon after, however long it was to be."""
    course = Course(busy_until_s=2 * CHUNK_S)
    took_s = await course.chunks(course.share(), 2)
    assert took_s <= 3 * CHUNK_S + background.LOOK_EVERY_S


async def test_all_tasks_together_have_one_share() -> None:
    """A chunk of one keeps the others waiting too, while it is under way and after it."""
    first, second = Course(busy_until_s=1000.0), Course(busy_until_s=1000.0)
    share = first.share()
    async with share.turn(first):
        first.now_s += CHUNK_S
        second.stopping.set()
        assert share._left_s() == background.LOOK_EVERY_S
    assert share._left_s() == pytest.approx(9 * CHUNK_S)
    async with share.turn(second):
        assert second.waits == [], "a task that is to stop waits for nothing"
