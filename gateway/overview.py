"""The overview of the fleet: as JSON for programs, as a page for a person."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.parts import View, Worker
    from gateway.readiness import Verdict

GATEWAY_VIEWS = {
    "/": "this page; JSON with <code>Accept: application/json</code>",
    "/health/live": "whether the gateway runs",
    "/health/ready": "whether broker, registry and all workers are ready",
    "/metrics": "Prometheus metrics of the gateway",
    "/v1/routes": "the routing rules, with an API key (<code>eventfleet keys create</code>)",
    "/v1/aggregations": "the aggregations, their versions and builds, with an API key",
    "/v1/audit/routes": "who changed which rule, with an auditor's key",
    "/v1/audit/aggregations": "who changed which aggregation, with an auditor's key",
}


def as_json(workers: Sequence[Worker], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return parts with their state, and the URLs of the workers' views."""
    return {
        "ready": all(verdict.is_ready for verdict in verdicts),
        "parts": {
            verdict.part: {"ready": verdict.is_ready, "reasons": list(verdict.reasons)}
            for verdict in verdicts
        },
        "views": {
            worker.name: {
                view.path: {"url": worker.url + view.path, "shows": view.shows} for view in worker.views
            }
            for worker in workers
        },
    }


def as_page(workers: Sequence[Worker], verdicts: Sequence[Verdict], base: str) -> str:
    """Return the overview as an HTML document that needs nothing else.

    Args:
        workers: The workers.
        verdicts: What broker, registry and workers answered.
        base: URL of the gateway as the reader reached it.
    """
    template = Template((files("gateway") / "overview.html").read_text(encoding="utf-8"))
    ready = all(verdict.is_ready for verdict in verdicts)
    return template.substitute(
        state="ready" if ready else "not ready",
        state_class="ready" if ready else "waiting",
        parts="".join(_part(verdict) for verdict in verdicts),
        workers="".join(_worker(worker) for worker in workers),
        gateway="".join(_row(_link(base, path), shows, base + path) for path, shows in GATEWAY_VIEWS.items()),
    )


def _part(verdict: Verdict) -> str:
    state = '<td class="ready">ready</td>' if verdict.is_ready else '<td class="waiting">not ready</td>'
    reasons = "<br>".join(escape(reason) for reason in verdict.reasons)
    return f"<tr><th scope=row>{escape(verdict.part)}</th>{state}<td>{reasons}</td></tr>\n"


def _worker(worker: Worker) -> str:
    return (
        f"<section><h2>{escape(worker.name)}</h2><p>{escape(worker.does)}</p>\n"
        f"<table>{''.join(_view(worker.url, view) for view in worker.views)}</table></section>\n"
    )


def _view(base: str, view: View) -> str:
    name = _link(base, view.path) if view.is_complete else escape(view.path)
    return _row(name, escape(view.shows), base + view.example)


def _link(base: str, path: str) -> str:
    return f'<a href="{escape(base + path)}">{escape(path)}</a>'


def _row(name: str, shows: str, url: str) -> str:
    return f"<tr><th scope=row>{name}</th><td>{shows}</td><td><code>curl '{escape(url)}'</code></td></tr>\n"
