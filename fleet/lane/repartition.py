"""Re-keying inside an app: one agent emits under another key, another one reads it co-partitioned.

What the first agent emits is visible when its transaction commits, and the second one takes it
once: the topic between them is a source like any other, so the whole way is exactly once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from fleet.errors import FatalError
from fleet.lane.bounded import bounded
from fleet.lane.effects import Emit, Headers

if TYPE_CHECKING:
    from fleet.lane.host import LaneHost
    from fleet.lane.topics import Topics

log = logging.getLogger(__name__)

PURGE_EVERY_S = 30.0
PURGE_LIMIT_S = 10.0
CONFIGS = {
    "cleanup.policy": "delete",
    # Records must not expire before they are read; `Purge` deletes those that were.
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "segment.bytes": str(50 << 20),
}


@dataclass(frozen=True, slots=True)
class Repartition:
    """A topic of the app's own through which records go under another key.

    The worker creates it. Only one agent of this app may read it, and nobody else:
    what that agent has committed is deleted.

    Attributes:
        topic: Its name, which a new version of the app keeps.
        partitions: Its number of partitions; never change it.
    """

    topic: str
    partitions: int

    def emit(self, key: bytes, value: bytes | None, headers: Headers = (), *, cause: Any) -> Emit:
        """Return the effect that passes a record on under `key`.

        Args:
            key: New partition key; placed as Java's client places it.
            value: Encoded value.
            headers: Kafka headers, in order.
            cause: The source record; it becomes the dead letter where the topic refuses this record.
        """
        return Emit(self.topic, key, value, headers, cause=cause)

    async def ensure(self, topics: Topics) -> None:
        """Create the topic where it does not exist yet.

        Raises:
            FatalError: It exists with another number of partitions.
        """
        await topics.create(self.topic, self.partitions, CONFIGS)
        info = topics.get(self.topic)
        count = self.partitions if info is None else info.partitions
        if count != self.partitions:
            message = f"topic {self.topic} has {count} partitions, but the app says {self.partitions}"
            hint = f"keep {count}, since keys would leave their state; or declare it by a new name"
            raise FatalError(message, hint=hint)


@dataclass(slots=True)
class Purge:
    """Deletes what the reading agent has committed from the repartition topics of an app.

    Attributes:
        host: The worker's lane.
        topics: Names of the repartition topics.
    """

    host: LaneHost
    topics: set[str] = field(default_factory=set)
    _purged: dict[TopicPartition, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Delete once; what cannot be deleted now is left to the next time."""
        due = self._due()
        if not due:
            return
        try:
            await bounded(self._delete(due), PURGE_LIMIT_S, "deleting what was read")
        except Exception as error:  # noqa: BLE001 - it costs disk, never results
            log.warning("repartition topics are not purged: %s: %s", type(error).__name__, error)
        else:
            self._purged.update(due)

    def _due(self) -> Mapping[TopicPartition, int]:
        """Return the next offset, which is a committed one, of each partition that has got on."""
        return {
            tp: offset
            for task in self.host.tasks()
            if task.hold is not None and task.hold.ready
            for tp, offset in task.hold.next.items()
            if tp.topic in self.topics and offset > self._purged.get(tp, 0)
        }

    async def _delete(self, due: Mapping[TopicPartition, int]) -> None:
        admin = await self.host.topics.admin()
        await admin.delete_records({tp: RecordsToDelete(before_offset=offset) for tp, offset in due.items()})
