"""What the lane asks of the group: tasks that are fenced together cause one rebalance."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from fleet.lane import membership
from fleet.lane.membership import FaustMembership
from tests.support.polling import until


class Coordinator:
    """Counts what is asked of the group's coordinator."""

    def __init__(self) -> None:
        self.rejoins = 0

    def request_rejoin(self) -> None:
        """Note a rejoin."""
        self.rejoins += 1


async def test_rejoins_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tasks may ask at once; the group is asked once in a while, and again when they go on asking."""
    coordinator = Coordinator()
    member = FaustMembership(cast("Any", coordinator), asyncio.get_running_loop())

    async def rejoined(times: int) -> bool:
        return coordinator.rejoins == times

    for _ in range(100):
        member.rejoin()
    await until(lambda: rejoined(1), 5, "the first rejoin")
    monkeypatch.setattr(membership, "REJOIN_EVERY_S", 0.0)
    member.rejoin()
    await until(lambda: rejoined(2), 5, "a second rejoin, when it is due")
