"""Progress against the wall clock and the CPU time of a worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator

import psutil
import pytest

from benchmarks.measure import MeasureError, Sample, cpu_s, rates, watch

BUSY = "while True: pass"


@pytest.fixture
def worker() -> Iterator[psutil.Process]:
    """Give a busy process, gone afterwards."""
    with subprocess.Popen([sys.executable, "-c", BUSY]) as child:
        yield psutil.Process(child.pid)
        child.kill()


def answers(*counts: int) -> Callable[[], Awaitable[int]]:
    """Return a progress that gives these counts, the last one for ever."""
    left = list(counts)

    async def progress() -> int:
        return left.pop(0) if len(left) > 1 else left[0]

    return progress


def test_rates_leave_out_start_up_and_the_wait_at_the_end() -> None:
    """They count from the first progress to the first sample with the most, in events, time and CPU."""
    samples = [
        Sample(0.0, 1.0, 0),
        Sample(9.0, 5.0, 0),
        Sample(10.0, 6.0, 100),
        Sample(11.0, 6.4, 600),
        Sample(12.0, 6.8, 1_100),
        Sample(20.0, 6.9, 1_100),
    ]
    found = rates(samples)
    assert (found.events, found.wall_s) == (1_000, 2.0)
    assert found.events_per_s == pytest.approx(500)
    assert found.events_per_cpu_s == pytest.approx(1_250)


def test_rates_begin_after_the_warm_up() -> None:
    """A slow beginning does not count: the first sample past it is the first."""
    samples = [Sample(0.0, 0.0, 10), Sample(9.0, 9.0, 100), Sample(10.0, 9.5, 600)]
    found = rates(samples, warmup_events=100)
    assert (found.events, found.wall_s, found.cpu_s) == (500, 1.0, 0.5)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([Sample(0.0, 1.0, 0), Sample(1.0, 2.0, 0)], "no progress was seen"),
        ([Sample(0.0, 1.0, 0), Sample(1.0, 2.0, 50)], "between two samples"),
        ([Sample(0.0, 1.0, 1), Sample(1.0, 1.0, 50)], "between two samples"),
    ],
    ids=["stood still", "too few events", "no CPU time"],
)
def test_no_rate_without_two_moments(samples: list[Sample], reason: str) -> None:
    """What cannot be told is an error, never a number."""
    with pytest.raises(MeasureError, match=reason):
        rates(samples)


async def test_watch_ends_when_all_is_done(worker: psutil.Process) -> None:
    """Each answer becomes a sample, in order, with time and CPU time that only grow."""
    samples = await watch(lambda: cpu_s(worker), answers(0, 3, 7, 10), 10)
    assert [sample.done for sample in samples] == [0, 0, 3, 7, 10]
    assert [sample.at_s for sample in samples] == sorted(sample.at_s for sample in samples)
    assert [sample.cpu_s for sample in samples] == sorted(sample.cpu_s for sample in samples)


async def test_cpu_time_is_the_workers(worker: psutil.Process) -> None:
    """A busy worker is seen to use CPU time, while this process only waits for it."""

    async def has_worked() -> int:
        return int(cpu_s(worker) > 0.1)

    samples = await watch(lambda: cpu_s(worker), has_worked, 1)
    assert samples[-1].cpu_s > 0.1


async def test_watch_tells_a_worker_that_ended(worker: psutil.Process) -> None:
    """A worker that ends on the way is an error, with how far it came, though it was not waited for."""

    async def killed() -> int:
        worker.kill()
        return 3

    with pytest.raises(MeasureError, match="the worker ended after 3 of 10 events"):
        await watch(lambda: cpu_s(worker), killed, 10)


async def test_watch_gives_up_on_a_worker_that_stands_still(worker: psutil.Process) -> None:
    """No progress for the limit is an error, with how far it came."""
    with pytest.raises(MeasureError, match=r"no progress for 0\.1 s after 3 of 10"):
        await watch(lambda: cpu_s(worker), answers(3), 10, limit_s=0.1)


async def test_more_progress_than_work_is_an_error(worker: psutil.Process) -> None:
    """Offsets beyond the end mean that something else is measured than was meant."""
    with pytest.raises(MeasureError, match="11 events committed, but there are 10"):
        await watch(lambda: cpu_s(worker), answers(4, 11), 10)
