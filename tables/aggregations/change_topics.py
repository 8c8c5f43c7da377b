"""The topics that aggregations write to, made when the first of them becomes active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError

from fleet.errors import TransientError
from fleet.lane.errors import Lost
from fleet.lane.topics import Topics
from schemas.topics import TopicSpec
from tables.aggregations.errors import AggregationError

if TYPE_CHECKING:
    from fleet.lane.config import LaneConfig
    from tables.aggregations.definition import Definition

PARTITIONS: Final = 6
"""Partitions of a change topic where the first source has no topic."""
RETENTION_MS: Final = 7 * 86_400_000
MIN_INSYNC_REPLICAS: Final = 2


class ChangeTopics:
    """Makes change topics that are missing; one that is there is left as it is.

    Args:
        config: How to reach Kafka.
    """

    def __init__(self, config: LaneConfig) -> None:
        self._replicas = config.replication_factor
        self._topics = Topics(config)

    async def ensure(self, definition: Definition) -> None:
        """Make the topic of an aggregation if there is none, with as many partitions as its first source.

        Raises:
            AggregationError: Kafka does not let the platform use it.
            TransientError: Kafka does not answer.
        """
        topic, source = definition.output.topic, definition.sources[0]
        try:
            await self._topics.ensure([topic, source])
            if self._topics.is_refused(topic):
                raise AggregationError(
                    f"output.topic: Kafka does not let the platform use {topic!r}",
                    field="output.topic",
                    hint="grant it DESCRIBE, CREATE and WRITE there, or choose another",
                ).of(definition.name)
            like = self._topics.get(source)
            spec = TopicSpec(
                name=topic,
                partitions=like.partitions if like else PARTITIONS,
                retention_ms=RETENTION_MS,
                min_insync_replicas=MIN_INSYNC_REPLICAS,
            )
            await self._topics.create(topic, spec.partitions, spec.configs(self._replicas))
        except (Lost, KafkaError, OSError) as error:
            why = str(error) or type(error).__name__
            raise TransientError(f"topic {topic} cannot be made now ({why})", hint="try again") from error

    async def close(self) -> None:
        """Close the connection; the next use opens another."""
        await self._topics.close()
