"""How agents in the background give way to the other agents of their worker."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fleet.lane.progress import Progress

REST: Final = 9
"""While others have work, each chunk is followed by so many times as long without one: a share of 10 %."""

LOOK_EVERY_S: Final = 0.05
"""How often it is looked whether the others still have work."""


class Background:
    """The turns of all the tasks of one worker that run in the background.

    While the others have work, one of them has a turn at a time, and together they have their share.

    Args:
        is_foreground_busy: Tells whether the others have work.
        clock: Monotonic seconds.
    """

    def __init__(
        self, is_foreground_busy: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_foreground_busy = is_foreground_busy
        self._clock = clock
        self._under_way = 0
        self._free_at = 0.0

    @asynccontextmanager
    async def turn(self, progress: Progress) -> AsyncIterator[None]:
        """Wait for a turn, or for the stop, and have it for the block: one chunk.

        Args:
            progress: The course of the task.
        """
        while (left_s := self._left_s()) > 0 and not progress.stopping.is_set():
            # To wait for the others is to get on, as far as it can.
            progress.moved()
            await progress.until(progress.stopping, min(LOOK_EVERY_S, left_s))
        started = self._clock()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            now = self._clock()
            self._free_at = max(self._free_at, now + REST * (now - started))

    def _left_s(self) -> float:
        """Return how long to wait at least, as things are."""
        if not self._is_foreground_busy():
            return 0.0
        return LOOK_EVERY_S if self._under_way else self._free_at - self._clock()
