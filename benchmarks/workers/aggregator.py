"""Eventfleet's worker in the aggregation cases: the aggregator as it ships, under the name of the run."""

from __future__ import annotations

from pathlib import Path

from agents.aggregator.app import new_app
from benchmarks.workers.job import Job, take
from fleet.lane import LaneApp
from fleet.lane.worker import main
from fleet.settings import settings


def app_of(job: Job) -> LaneApp:
    """Return the app of `job`; what it computes is in the definitions."""
    chosen = {
        "bootstrap_servers": job.bootstrap_servers,
        "registry_url": job.registry_url,
        "data_dir": Path(job.data_dir),
        "aggregator_port": job.web_port,
        "store": job.store,
    }
    return new_app(settings().model_copy(update=chosen), name=job.name)


if __name__ == "__main__":
    given = take()
    main(lambda: app_of(given), ["worker"])
