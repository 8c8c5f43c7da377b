"""Watches for topics that are expanded in place: their keys move away from their state (engine trap 24)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from fleet.lane.context import same_partitions
from fleet.lane.errors import Halted

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.lane.agent import LaneAgent
    from fleet.lane.topics import Topics

log = logging.getLogger(__name__)

CHECK_EVERY_S = 30.0


class ExpansionWatch:
    """Compares the partition counts of an agent's topics, with each other and with the first ones seen.

    Args:
        topics: Tells the partition counts.
        changelog: Gives the changelog topic of a table.
    """

    def __init__(self, topics: Topics, changelog: Callable[[str], str]) -> None:
        self._topics = topics
        self._changelog = changelog
        self._first: dict[str, int] = {}
        self._due = asyncio.Event()

    async def check(self, agent: LaneAgent) -> None:
        """Refuse an agent whose topics do not fit its state.

        Raises:
            Halted: Their counts differ, or an agent with tables had another one before.
        """
        topics = [*agent.sources, *map(self._changelog, agent.tables)]
        count = same_partitions(agent.name, await self._topics.require(topics, by=agent.name))
        first = self._first.setdefault(agent.name, count)
        if agent.tables and first != count:
            message = f"agent {agent.name}: its topics went from {first} to {count} partitions"
            raise Halted(
                message,
                hint="keys are away from their state now: create topics with the right number, move the data",
            )

    def look(self) -> None:
        """Check now, e.g. after a rebalance, which a new partition causes."""
        self._due.set()

    async def run(self, agents: Callable[[], list[LaneAgent]], halt: Callable[[str, Halted], None]) -> None:
        """Check all agents from time to time, for ever.

        Args:
            agents: Gives the agents to check.
            halt: Called with the name of an agent that must not go on, and why.
        """
        while True:
            asking = asyncio.ensure_future(self._due.wait())
            await asyncio.wait({asking}, timeout=CHECK_EVERY_S)
            asking.cancel()
            self._due.clear()
            for agent in agents():
                self._topics.forget([*agent.sources, *map(self._changelog, agent.tables)])
                try:
                    await self.check(agent)
                except Halted as error:
                    halt(agent.name, error)
                except Exception as error:  # noqa: BLE001 - Kafka does not say now: the next round will
                    log.warning("partitions of agent %s are not known: %s", agent.name, error)
