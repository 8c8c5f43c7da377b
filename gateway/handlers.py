"""The gateway's own pages: overview, health, metrics."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.problems import problem
from gateway.overview import as_json, as_page

if TYPE_CHECKING:
    from gateway.parts import Worker
    from gateway.readiness import Readiness

WORKERS: web.AppKey[tuple[Worker, ...]] = web.AppKey("workers")
READINESS: web.AppKey[Readiness] = web.AppKey("readiness")

PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
}


def add_routes(app: web.Application) -> None:
    """Add ``/``, ``/health/live``, ``/health/ready`` and ``/metrics``."""
    app.router.add_get("/", overview)
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", metrics)


async def overview(request: web.Request) -> web.Response:
    """Show what runs and where to look: a page, or JSON for a caller that asks for it."""
    workers, verdicts = request.app[WORKERS], await request.app[READINESS].check()
    if prefers_json(request.headers.get("Accept", "")):
        return _json(as_json(workers, verdicts), headers=PAGE_HEADERS)
    page = as_page(workers, verdicts, str(request.url.origin()))
    return web.Response(text=page, content_type="text/html", headers=PAGE_HEADERS)


async def live(request: web.Request) -> web.Response:
    """Say that the loop turns; nothing else could be mended by a restart."""
    del request
    return _json({"ok": True, "reasons": []})


async def ready(request: web.Request) -> web.Response:
    """Say whether broker, registry and every worker are ready; 503 with the reasons where not."""
    verdicts = await request.app[READINESS].check()
    reasons = [f"{verdict.part}: {reason}" for verdict in verdicts for reason in verdict.reasons]
    if not reasons:
        return _json({"ok": True, "reasons": []})
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "; ".join(reasons), ok=False, reasons=reasons)


async def metrics(request: web.Request) -> web.Response:
    """Give the metrics of this process (Prometheus)."""
    del request
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def prefers_json(accept: str) -> bool:
    """Tell whether an Accept header ranks JSON over HTML (RFC 9110, section 12.5.1)."""
    ranks = {"application/json": 0.0, "text/html": 0.0}
    for part in accept.split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if kind.lower() in ranks:
            ranks[kind.lower()] = _weight(parameters)
    return ranks["application/json"] > ranks["text/html"]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _json(content: Any, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json", headers=headers)
