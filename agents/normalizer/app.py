"""The normalizer worker: raw files in, canonical claims out."""

from __future__ import annotations

from agents.normalizer.normalize import Normalizer
from fleet.lane import LaneApp
from fleet.settings import Settings, settings
from schemas.codec import Codec
from schemas.registry import Registry

NAME = "normalizer"
SOURCE = "raw.x12"


def new_app(config: Settings | None = None) -> LaneApp:
    """Return the worker's app."""
    chosen = config or settings()
    app = LaneApp(NAME, web_port=chosen.normalizer_port, config=chosen)
    registry = Registry(chosen.registry)
    normalizer = Normalizer(Codec(registry))
    app.lane.closing.append(registry.close)
    # A file may hold thousands of claims: few files a transaction.
    declare = app.lane_agent(
        name=NAME,
        sources=[SOURCE],
        redrive=True,
        ready=normalizer.ready,
        max_chunk_records=20,
        max_fetch_bytes=8 << 20,
    )
    declare(normalizer.process)
    return app
