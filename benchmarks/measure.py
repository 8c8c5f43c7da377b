"""How fast a worker gets on, and at what cost: progress against the wall clock and its CPU time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psutil

from fleet.errors import EventfleetError

POLL_S = 0.05
NO_PROGRESS_LIMIT_S = 60.0


class MeasureError(EventfleetError):
    """There is no honest figure for this run."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one moment.

    Attributes:
        at_s: Monotonic clock.
        cpu_s: User and system time of the process so far, all its threads.
        done: Events whose processing the consumer group has committed.
    """

    at_s: float
    cpu_s: float
    done: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Events over the time between two samples."""

    events: int
    wall_s: float
    cpu_s: float

    @property
    def events_per_s(self) -> float:
        """Events per second of the wall clock."""
        return self.events / self.wall_s

    @property
    def events_per_cpu_s(self) -> float:
        """Events per CPU second of the worker."""
        return self.events / self.cpu_s


def rates(samples: Sequence[Sample], warmup_events: int = 0) -> Rates:
    """Return the rates between the first sample past the warm-up and the first with the most.

    So neither start-up nor the wait after the last event counts, and the events before the
    first sample with progress do not count either.

    Args:
        samples: In order.
        warmup_events: Samples with fewer events do not count.

    Raises:
        MeasureError: The two are too close together to tell.
    """
    moving = [sample for sample in samples if sample.done > 0 and sample.done >= warmup_events]
    if not moving:
        raise MeasureError("no progress was seen")
    first = moving[0]
    last = next(sample for sample in moving if sample.done == moving[-1].done)
    found = Rates(last.done - first.done, last.at_s - first.at_s, last.cpu_s - first.cpu_s)
    if found.events <= 0 or found.wall_s <= 0 or found.cpu_s <= 0:
        raise MeasureError("all was done between two samples", hint="measure with more events")
    return found


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds, user and system, that all threads of `process` have used so far.

    Raises:
        MeasureError: It has ended.
    """
    try:
        # A worker that ended and was not waited for yet still has an entry, as a zombie.
        if process.status() == psutil.STATUS_ZOMBIE:
            raise psutil.ZombieProcess(process.pid)
        times = process.cpu_times()
    except psutil.Error:
        raise MeasureError("the worker ended") from None
    return float(times.user + times.system)


async def watch(
    used_cpu_s: Callable[[], float],
    progress: Callable[[], Awaitable[int]],
    total: int,
    *,
    limit_s: float = NO_PROGRESS_LIMIT_S,
) -> list[Sample]:
    """Sample a worker until `progress` reaches `total`.

    Args:
        used_cpu_s: Gives the worker's CPU seconds so far.
        progress: Asks how many events are done.
        total: How many there are.
        limit_s: Longest time without progress, start-up included.

    Raises:
        MeasureError: The worker ended, stood still, or did more than there was to do.
    """
    samples = [Sample(time.monotonic(), used_cpu_s(), 0)]
    moved_at = samples[0].at_s
    while samples[-1].done < total:
        await asyncio.sleep(POLL_S)
        done = await progress()
        samples.append(_sample(used_cpu_s, done, total))
        if done > samples[-2].done:
            moved_at = samples[-1].at_s
        elif samples[-1].at_s - moved_at > limit_s:
            raise MeasureError(f"no progress for {limit_s:g} s after {done:,} of {total:,} events")
    if samples[-1].done > total:
        raise MeasureError(f"{samples[-1].done:,} events committed, but there are {total:,}")
    return samples


def _sample(used_cpu_s: Callable[[], float], done: int, total: int) -> Sample:
    try:
        return Sample(time.monotonic(), used_cpu_s(), done)
    except MeasureError as error:
        raise MeasureError(f"{error} after {done:,} of {total:,} events") from None
