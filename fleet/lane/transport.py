"""Faust's transport, kept to group membership: it never fetches or commits a lane topic."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiokafka
from faust.transport.drivers import aiokafka as driver

from fleet.lane.membership import FaustMembership

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types.tuples import TP

NEVER_S = 10.0**9


class LaneConsumerThread(driver.AIOKafkaConsumerThread):
    """The consumer thread, with a group member that fetches nothing by itself."""

    _membership: FaustMembership | None = None

    app: Any  # the LaneApp, which imports this module

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        # Faust takes RoundRobin where an app has no tables, and then fails in its own
        # recovery (field notes, exactly_once without tables): always its own assignor.
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            # The member never polls, so it would leave the group when "idle" for too long.
            max_poll_interval_ms=int(NEVER_S * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
        )

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Pause the lane's partitions in the member itself, then tell Faust.

        aiokafka only logs what a listener raises, and the worker would stand still: crash instead.
        """
        try:
            lane = [driver.ensure_aiokafka_TP(tp) for tp in assigned if tp.topic in self.app.lane_topics]
            self._ensure_consumer().pause(*lane)
            await super().on_partitions_assigned(assigned, generation_id)
        except Exception as error:
            asyncio.run_coroutine_threadsafe(self.app.crash(error), self.app.loop)
            raise

    def membership(self) -> FaustMembership:
        """Return the lane's view of this member."""
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001
        if self._membership is None or self._membership.coordinator is not coordinator:
            # One for all tasks: it bounds how often they ask for a new generation together.
            self._membership = FaustMembership(coordinator, self.thread_loop)
        return self._membership


class LaneConsumer(driver.Consumer):
    """Faust's consumer without the lane's topics."""

    app: Any  # the LaneApp, which imports this module
    _thread: LaneConsumerThread

    def _new_consumer_thread(self) -> LaneConsumerThread:
        return LaneConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _get_active_partitions(self) -> set[TP]:
        lane = self.app.lane_topics
        return {tp for tp in super()._get_active_partitions() if tp.topic not in lane}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        lane = self.app.lane_topics
        kept = {tp: offset for tp, offset in offsets.items() if tp.topic not in lane}
        return await super()._commit(kept) if kept else True

    async def perform_seek(self) -> None:
        """Seek nothing of the lane: its tasks own their positions (trap 2)."""
        if any(tp.topic not in self.app.lane_topics for tp in self.assignment()):
            await super().perform_seek()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Watch Faust's own topics; the lane has its own watchdog."""
        if tp.topic not in self.app.lane_topics:
            super().verify_event_path(now, tp)

    def membership(self) -> FaustMembership:
        """Return the lane's view of the group membership."""
        return self._thread.membership()


class LaneTransport(driver.Transport):
    """Transport of a lane worker."""

    Consumer = LaneConsumer
