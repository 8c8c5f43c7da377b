"""What the fleet consists of, and where each worker's web views are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.settings import Settings


@dataclass(frozen=True, slots=True)
class View:
    """One web view of a worker.

    Attributes:
        path: Path on the worker; ``{name}`` stands for what the caller fills in.
        shows: What it shows, for people.
    """

    path: str
    shows: str

    @property
    def is_complete(self) -> bool:
        """Whether the path can be asked as it is."""
        return "{" not in self.path

    @property
    def example(self) -> str:
        """The path as people type it: what they fill in is in capitals (curl expands braces)."""
        return re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), self.path)


@dataclass(frozen=True, slots=True)
class Worker:
    """One agent's worker.

    Attributes:
        name: Name of the agent.
        does: What it does, for people.
        url: Base URL of its web views.
        views: Its web views.
    """

    name: str
    does: str
    url: str
    views: tuple[View, ...]


_OF_EVERY_WORKER = (
    View("/health/live", "whether a restart would help"),
    View("/health/ready", "whether it processes all that it is assigned"),
    View("/lane", "its tasks: partition, status, next offset, lag, rows"),
    View("/metrics", "Prometheus metrics"),
    View("/table/", "its tables, Faust's own view"),
    View("/table/{name}/{key}/", "one row of a table, from whichever worker holds it"),
)

_ROUTER = (
    View("/routes", "the rules as it has them, since when, and rows that were refused"),
    View("/routed", "events by outcome and copies by rule, over all workers"),
    View("/routed/rules", "what became of events by rule: matched, delivered, unmatched, failed, last match"),
)

_AGGREGATOR = (
    View(
        "/v1/aggregates/{name}",
        "how an aggregation stands: builds, watermark, late, refused; with an API key",
    ),
    View("/v1/aggregates/{name}/windows", "which windows it has"),
    View("/v1/aggregates/{name}/windows/{start}", "all keys of a window (start: RFC 3339)"),
    View("/v1/aggregates/{name}/windows/{start}/top", "its first keys by a result"),
    View("/v1/aggregates/{name}/keys", "the windows of one key, or of several by POST"),
    View("/v1/aggregates/{name}/changes", "what changes, as it changes"),
)


def workers(settings: Settings) -> tuple[Worker, ...]:
    """Return the workers of the fleet, in the order events pass them."""
    base = f"http://{settings.host}"
    return (
        Worker(
            "normalizer",
            "raw X12 files in, canonical claims out",
            f"{base}:{settings.normalizer_port}",
            _OF_EVERY_WORKER,
        ),
        Worker(
            "router",
            "canonical events in, copies to the topics that the teams' rules name",
            f"{base}:{settings.router_port}",
            _ROUTER + _OF_EVERY_WORKER,
        ),
        Worker(
            "aggregator",
            "events in, what the teams' aggregations compute of them out",
            f"{base}:{settings.aggregator_port}",
            _AGGREGATOR + _OF_EVERY_WORKER,
        ),
    )
