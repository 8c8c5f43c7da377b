"""The aggregator worker: claims in, claims and charges per provider and window out."""

from __future__ import annotations

from agents.aggregator.aggregate import Aggregator
from agents.aggregator.domain.aggregation import OPEN, PROGRESS, ROWS, Aggregation
from agents.aggregator.views import add_views
from fleet.lane import LaneApp
from fleet.settings import Settings, settings
from schemas.codec import Codec
from schemas.registry import Registry

NAME = "aggregator"
SOURCE = "canonical.claim"


def new_app(config: Settings | None = None) -> LaneApp:
    """Return the worker's app."""
    chosen = config or settings()
    app = LaneApp(NAME, web_port=chosen.aggregator_port, config=chosen)
    registry = Registry(chosen.registry)
    aggregator = Aggregator(Codec(registry), Aggregation())
    tables = [
        app.lane_table(
            ROWS,
            route_by=lambda key: key.split("|", 1)[0],
            help="Claims and charges, keyed <npi>|<hour or day>|<start, epoch ms, 14 digits>",
        ),
        app.lane_table(
            OPEN,
            route_by=_group_of_due,
            help="Windows waiting to close or to expire, keyed <due, epoch ms>|<window>",
        ),
        app.lane_table(
            PROGRESS,
            partition_by=lambda key: int(key.split("/", 1)[0]),
            help="Watermark of each source partition, keyed <partition>/watermark",
        ),
    ]
    app.lane.closing.append(registry.close)
    declare = app.lane_agent(
        name=NAME,
        sources=[SOURCE],
        tables=tables,
        redrive=True,
        ready=aggregator.ready,
        prepare=aggregator.prepare,
    )
    declare(aggregator.process)
    add_views(app, tables[0])
    return app


def _group_of_due(key: str) -> str:
    """Return the group of a row of the open windows.

    Raises:
        KeyError: It is not such a key.
    """
    try:
        return key.split("|", 2)[1]
    except IndexError:
        raise KeyError(key) from None
