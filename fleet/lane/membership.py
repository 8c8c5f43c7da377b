"""What the lane asks of the consumer group that Faust is a member of."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from aiokafka.errors import KafkaError, RebalanceInProgressError
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.structs import OffsetAndMetadata

from fleet.lane.errors import Lost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka.consumer.group_coordinator import GroupCoordinator
    from aiokafka.structs import TopicPartition

REJOIN_EVERY_S = 5.0
REBALANCE_POLL_S = 0.05
NO_ERROR = 0


class Membership(Protocol):
    """The group membership of one worker."""

    async def confirm(self) -> bool:
        """Return whether the group coordinator knows this member in its current generation, asked now."""
        ...

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit the group's offsets of partitions that are assigned, in the current generation.

        Raises:
            Lost: The group or its coordinator refuses: a stale owner moves nothing.
        """
        ...

    def rejoin(self) -> None:
        """Ask for a new generation, at most once every few seconds."""
        ...


class FaustMembership:
    """Membership through Faust's consumer, which lives in a thread and a loop of its own.

    Attributes:
        coordinator: The consumer's side of the group protocol.
    """

    def __init__(self, coordinator: GroupCoordinator, loop: asyncio.AbstractEventLoop) -> None:
        self.coordinator = coordinator
        self._loop = loop
        self._rejoined_at = float("-inf")

    async def confirm(self) -> bool:
        """See `Membership.confirm`. A rebalance in progress, or no answer, is a no."""
        asking = asyncio.run_coroutine_threadsafe(self._heartbeat(), self._loop)
        done, _ = await asyncio.wait({asyncio.ensure_future(asyncio.wrap_future(asking))}, timeout=3.0)
        if not done:
            asking.cancel()
            return False
        task = done.pop()
        return bool(not task.cancelled() and task.exception() is None and task.result())

    async def _heartbeat(self) -> bool:
        coordinator = self.coordinator
        request = HeartbeatRequest(coordinator.group_id, coordinator.generation, coordinator.member_id)
        try:
            response = await coordinator._send_req(request)  # noqa: SLF001 - the client has no public heartbeat
        except KafkaError:
            return False
        return bool(response.error_code == NO_ERROR)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See `Membership.commit`. A rebalance that is going on is waited for."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._commit(offsets), self._loop))

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        known = self.coordinator._subscription  # noqa: SLF001 - the client has no public commit of one try
        wanted = {tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        while True:
            try:
                if not known.reassignment_in_progress:
                    # Nothing is awaited between this check and the making of the request, which carries
                    # the generation and the member: one of them is stale, or the partition is ours.
                    assignment = known.subscription.assignment
                    if assignment is None or not wanted.keys() <= assignment.tps:
                        raise Lost("no longer assigned: its new owner goes on from what was committed")
                    await self.coordinator._do_commit_offsets(assignment, wanted)  # noqa: SLF001
                    return
            except RebalanceInProgressError:
                pass
            except KafkaError as error:
                raise Lost(f"the group refuses the offsets ({type(error).__name__})") from error
            await asyncio.sleep(REBALANCE_POLL_S)

    def rejoin(self) -> None:
        """See `Membership.rejoin`."""
        now = time.monotonic()
        if now - self._rejoined_at >= REJOIN_EVERY_S:
            self._rejoined_at = now
            self._loop.call_soon_threadsafe(self.coordinator.request_rejoin)
