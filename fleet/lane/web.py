"""Web views that every lane worker has: health, tasks, metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from fleet.lane.app import LaneApp

SILENT_LIMIT_S = 60.0


def add_views(app: LaneApp) -> None:
    """Add ``/health/live``, ``/health/ready``, ``/lane`` and ``/metrics`` to the app's web views."""

    @app.page("/health/live", name="live")
    async def live(view: Any, request: Any) -> Any:
        """Whether a restart would help: the lane's watch goes round and Faust has not crashed."""
        del request
        silent_s = time.monotonic() - app.lane.host.watched_at
        reasons = []
        if app.lane.host.generation and silent_s > SILENT_LIMIT_S:
            reasons.append(f"the lane's watch has been silent for {silent_s:.0f} s")
        if app.crashed:
            reasons.append("the app has crashed")
        return _verdict(view, reasons)

    @app.page("/health/ready", name="ready")
    async def ready(view: Any, request: Any) -> Any:
        """Whether this worker processes all it is assigned."""
        del request
        reasons = app.lane.host.unready()
        if app.rebalancing or not app.tables.actives_ready:
            reasons.append("Faust is rebalancing")
        return _verdict(view, reasons)

    @app.page("/lane", name="lane")
    async def lane(view: Any, request: Any) -> Any:
        """The tasks of this worker (partition, status, next offset, lag, rows), and its standbys."""
        del request
        return view.json(
            {
                "app": app.conf.id,
                "tasks": app.lane.host.describe(),
                "standbys": app.lane.host.standbys.describe(),
            }
        )

    @app.page("/metrics", name="metrics")
    async def metrics(view: Any, request: Any) -> Any:
        """Prometheus metrics."""
        del request
        app.lane.host.describe()  # Brings the lag gauges up to date.
        content_type = CONTENT_TYPE_LATEST.split(";")[0]
        return view.bytes(generate_latest(), content_type=content_type)


def _verdict(view: Any, reasons: list[str]) -> Any:
    return view.json({"ok": not reasons, "reasons": reasons}, status=503 if reasons else 200)
