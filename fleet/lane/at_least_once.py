"""One task's producer where it runs at least once: no transaction, outputs are visible at once.

See docs/adr/0007-at-least-once.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.errors import TopicAuthorizationFailedError

from fleet.lane.bounded import bounded
from fleet.lane.clients import discard, new_producer
from fleet.lane.errors import Lost
from fleet.lane.transaction import deliver, not_authorized

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka.structs import TopicPartition

    from fleet.lane.batches import Batches
    from fleet.lane.config import LaneConfig
    from fleet.lane.membership import Membership
    from fleet.lane.transaction import Written


class AtLeastOnce:
    """What `Transactor` is where each output may be written again after trouble.

    Args:
        config: Limits and time-outs.
        membership: Gives the worker's group membership, by which offsets are committed.
        task: Name of the task.
    """

    def __init__(self, config: LaneConfig, membership: Callable[[], Membership], task: str) -> None:
        self._config = config
        self._membership = membership
        self._id = task
        self._producer = new_producer(config, None)

    async def fence(self) -> None:
        """Start the producer; it fences nobody.

        Raises:
            Lost: It did not end within the limit.
        """
        await bounded(self._producer.start(), self._config.acquire_limit_s, f"producer of {self._id}")

    async def commit(self, batches: Batches, offsets: Mapping[TopicPartition, int]) -> Written:
        """Write `batches`; once all are delivered, commit the source `offsets` as a member of the group.

        Any end but a return means that the outcome is unknown: this object must be discarded.

        Returns:
            Offset after the last record written, by (topic, partition).

        Raises:
            NotAuthorized: Kafka does not let this producer write to some of the topics.
            Lost: Something failed, or the group has given the partition to another member.
        """
        try:
            return await bounded(
                self._commit(batches, offsets), self._config.transaction_limit_s, f"commit of {self._id}"
            )
        except Lost:
            raise
        except TopicAuthorizationFailedError as error:
            raise not_authorized(error) from error
        except Exception as error:
            raise Lost(f"commit of {self._id} failed: {type(error).__name__}: {error}") from error

    async def _commit(self, batches: Batches, offsets: Mapping[TopicPartition, int]) -> Written:
        written = await deliver(self._producer, batches)
        await self._membership().commit(offsets)
        return written

    def discard(self) -> None:
        """Give the producer up in the background."""
        discard(self._producer)
