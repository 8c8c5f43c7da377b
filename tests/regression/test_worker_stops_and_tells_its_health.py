"""How a worker starts and stops, as an orchestrator sees it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.lane_load import Load
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.lane_fixtures import NewWorkers
    from tests.support.lane_kafka import Cluster

pytestmark = pytest.mark.stack

STOP_LIMIT_S = 10.0


async def test_sigterm_amid_the_work_ends_it_in_order(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str]
) -> None:
    """Exit code 0 within ten seconds, no process left, and the next worker takes over without a wait."""
    load = await Load.prepared(cluster, unique, seed=11)
    await load.send(30_000)
    workers = new_workers(load.app_id, load.source)
    workers.environment["LANE_CHUNK_RECORDS"] = "25"
    worker = workers.start()
    await load.reached(2_000)
    family = [
        psutil.Process(worker.process.pid),
        *psutil.Process(worker.process.pid).children(recursive=True),
    ]
    worker.process.send_signal(signal.SIGTERM)
    assert await worker.ended(STOP_LIMIT_S) == 0
    assert not [process for process in family if process.is_running()]
    assert "Traceback" not in worker.said()
    assert not await load.is_consumed(), "stopped too late to be amid the work"
    workers.start()
    await load.consumed()
    await load.check()


async def test_health_tells_a_live_worker_from_a_ready_one(
    cluster: Cluster, new_workers: NewWorkers, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """Live from the start; ready once its partitions are acquired; until then it says what it waits for."""
    load = await Load.prepared(cluster, unique, seed=12)
    workers = new_workers(load.app_id, load.source)
    begin = tmp_path / "begin"
    workers.environment["LANE_READY_FILE"] = str(begin)
    worker = workers.start()

    async def waits_for_its_agent() -> bool:
        status, body = await worker.ask("/health/ready")
        return status == 503 and body["reasons"] == ["agent sum has not started"]

    await until(waits_for_its_agent, 90, "a worker that waits for its agent alone")
    assert await worker.ask("/health/live") == (200, {"ok": True, "reasons": []})
    begin.touch()
    await worker.ready()
    assert await worker.ask("/health/ready") == (200, {"ok": True, "reasons": []})
    assert await worker.ask("/health/live") == (200, {"ok": True, "reasons": []})
    assert {task["status"] for task in await worker.tasks()} == {"running"}
