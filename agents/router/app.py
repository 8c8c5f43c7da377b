"""The router worker: canonical events in, copies to the topics that the teams' rules name."""

from __future__ import annotations

from agents.router.route import COUNTS, Router, active_rules, parse_row
from agents.router.views import add_views
from fleet.lane import LaneApp
from fleet.lane.config import LaneConfig
from fleet.settings import Settings, settings
from schemas.codec import Codec
from schemas.registry import Registry
from tables.config import ConfigTable

NAME = "router"
RULES_TOPIC = "fleet.config.routes"
SOURCES = ("canonical.claim",)


def new_app(config: Settings | None = None) -> LaneApp:
    """Return the worker's app."""
    chosen = config or settings()
    app = LaneApp(NAME, web_port=chosen.router_port, config=chosen)
    registry = Registry(chosen.registry)
    rules = ConfigTable(LaneConfig.of(chosen), RULES_TOPIC, parse_row, active_rules)
    router = Router(Codec(registry), rules.snapshot)
    counts = app.lane_table(
        COUNTS,
        partition_by=lambda key: int(key.split("/", 1)[0]),
        help="Events by rule, keyed <partition>/<rule@version>, exact",
    )
    app.lane.closing += [rules.stop, registry.close]
    declare = app.lane_agent(
        name=NAME,
        sources=list(SOURCES),
        tables=[counts],
        ready=rules.ready,
        prepare=router.prepare,
        config=rules.snapshot,
    )
    declare(router.process)
    add_views(app, rules)
    return app
