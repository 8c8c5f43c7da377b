"""Limits and time-outs of the lane."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.settings import Settings


def epoch_ms() -> int:
    """Return the wall-clock time, epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneConfig:
    """How one worker's lane talks to Kafka.

    Attributes:
        bootstrap_servers: Brokers, ``host:port[,host:port]``.
        session_timeout_s: Group session time-out; a worker silent for longer loses its partitions.
        transaction_timeout_s: Kafka aborts an open transaction after this; about the session
            time-out, since an open transaction holds back every reader of its output partitions.
        request_timeout_s: Time-out of one request to a broker; it is tried again, so three unheard in a row
            cost a partition less than 15 s, with a session time-out of 12 s at most.
        acquire_limit_s: Bound on fencing, and on each step of an acquire but the state load.
        progress_limit_s: "Assigned, lag, no progress" for longer than this is a loss.
        halted_retry_s: Pause before a halted task tries again: a person may have mended the cause.
        clock: Gives the wall-clock time, epoch milliseconds.
        replication_factor: Replication of changelog topics.
        standbys: Copies of each task's state on other workers.
    """

    bootstrap_servers: str
    session_timeout_s: float = 10.0
    transaction_timeout_s: float = 10.0
    request_timeout_s: float = 4.0
    acquire_limit_s: float = 20.0
    progress_limit_s: float = 30.0
    halted_retry_s: float = 10.0
    clock: Callable[[], int] = epoch_ms
    replication_factor: int = 1
    standbys: int = 0

    @property
    def transaction_limit_s(self) -> float:
        """Bound on one transaction, shorter than Kafka's own so that we give up first."""
        return max(1.0, self.transaction_timeout_s - 1.0)

    @classmethod
    def of(cls, settings: Settings) -> LaneConfig:
        """Return the lane's configuration for these process settings."""
        return cls(
            bootstrap_servers=settings.kafka,
            session_timeout_s=settings.session_timeout_s,
            transaction_timeout_s=settings.session_timeout_s,
            request_timeout_s=max(3.0, settings.session_timeout_s * 0.4),
            replication_factor=settings.replication_factor,
            standbys=settings.standbys,
        )
