"""The generations of the consumer group, as one worker goes through them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.lane.membership import Membership

CONFIRM_EVERY_S = 0.3


class Generations:
    """Which generation is in force, and whether the next one is on its way.

    Args:
        membership: Gives the group membership, once the worker has joined.
        patience_s: How long the group may not confirm this member before it joins anew.

    Attributes:
        number: Count of assignments so far.
        flow: Set while no rebalance is going on.
    """

    def __init__(self, membership: Callable[[], Membership], patience_s: float) -> None:
        self.number = 0
        self.flow = asyncio.Event()
        self.flow.set()
        self._membership = membership
        self._patience_s = patience_s
        self._later: list[tuple[int, asyncio.Event]] = []

    def after(self, generation: int) -> asyncio.Event:
        """Return an event set once a later generation is assigned."""
        event = asyncio.Event()
        if self.number > generation:
            event.set()
        else:
            self._later.append((generation, event))
        return event

    def tell(self) -> None:
        """The generation's work is given out: let those go on that waited for it."""
        self.flow.set()
        due = [event for generation, event in self._later if generation < self.number]
        self._later = [each for each in self._later if each[0] >= self.number]
        for event in due:
            event.set()

    async def permitted(self, stopping: asyncio.Event) -> None:
        """Wait until the group confirms this member in its generation; if it never does, join anew."""
        since = time.monotonic()
        while not stopping.is_set():
            if not self.flow.is_set():
                since = time.monotonic()
            elif await self._membership().confirm():
                return
            elif time.monotonic() - since > self._patience_s:
                self._membership().rejoin()
            await asyncio.sleep(CONFIRM_EVERY_S)
