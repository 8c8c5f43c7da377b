"""What the handlers stand on: one of each service in a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from fleet.lane.config import LaneConfig
from schemas.registry import Registry
from tables import dead_letters, keys
from tables.aggregations import kind as aggregation_kind
from tables.aggregations.change_topics import ChangeTopics
from tables.aggregations.kind import Aggregations
from tables.config_log import ConfigLog
from tables.dead_letters import DeadLetters
from tables.dead_letters.jobs import Jobs
from tables.definitions import Definitions
from tables.keys import Keys
from tables.routes import kind
from tables.routes.kind import Routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.settings import Settings

AUDITS: Final[Mapping[str, str]] = {
    "routes": kind.AUDIT,
    "aggregations": aggregation_kind.AUDIT,
    "keys": keys.AUDIT,
    "dead-letters": dead_letters.AUDIT,
}
"""Topics of the audits that can be read, by their name in paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of a process; nothing connects before it is first used.

    Attributes:
        lane: How to reach Kafka.
        registry: The schema registry.
        keys: The API keys.
        routes: The routing rules.
        aggregations: The aggregations.
        change_topics: Makes the topics that aggregations write to.
        dead_letters: The dead letters of all agents.
        redrives: Redrives of many of them, those of this process.
    """

    lane: LaneConfig
    registry: Registry
    keys: Keys
    routes: Definitions
    aggregations: Definitions
    change_topics: ChangeTopics
    dead_letters: DeadLetters
    redrives: Jobs

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """Return the services for these settings."""
        lane, registry = LaneConfig.of(settings), Registry(settings.registry)
        letters, change_topics = DeadLetters(lane, registry), ChangeTopics(lane)
        aggregations = Aggregations(registry, change_topics)
        aggregations_log = ConfigLog(lane, aggregation_kind.TOPIC, aggregation_kind.AUDIT)
        return cls(
            lane=lane,
            registry=registry,
            keys=Keys(lane),
            routes=Definitions(ConfigLog(lane, kind.TOPIC, kind.AUDIT), Routes(registry)),
            aggregations=Definitions(aggregations_log, aggregations),
            change_topics=change_topics,
            dead_letters=letters,
            redrives=Jobs(letters),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self.redrives.stop()
        await self.keys.stop()
        await self.routes.log.stop()
        await self.aggregations.log.stop()
        await self.change_topics.close()
        await self.dead_letters.stop()
        await self.registry.close()


SERVICES: Final = web.AppKey("services", Services)
"""The services of an application that the API is mounted on."""
