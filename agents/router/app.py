"""The router worker: canonical events in, copies to the topics that the teams' rules name."""

from __future__ import annotations

from collections.abc import Iterator

from agents.router.api import DryRunHandlers, ExplainHandlers
from agents.router.counting import COUNTS, refused
from agents.router.domain.timeline import Timeline
from agents.router.dry_run.service import DryRuns
from agents.router.explaining.service import Explainer
from agents.router.route import Router, active_rules, parse_row
from agents.router.views import add_views
from api import Services, mount
from api.mounting import AddRoutes
from fleet.lane import LaneApp
from fleet.settings import Settings, settings
from schemas.codec import Codec
from tables.config import ConfigTable
from tables.routes.kind import AUDIT, TOPIC

NAME = "router"


def new_app(config: Settings | None = None) -> LaneApp:
    """Return the worker's app."""
    chosen = config or settings()
    app = LaneApp(NAME, web_port=chosen.router_port, config=chosen)
    services = Services.of(chosen)
    rules = ConfigTable(services.lane, TOPIC, parse_row, active_rules, audit=AUDIT)
    router = Router(Codec(services.registry), rules.snapshot)
    counts = app.lane_table(
        COUNTS,
        partition_by=lambda key: int(key.split("/", 1)[0]),
        help="Events by rule, keyed <partition>/<rule@version>, exact",
    )
    runs = DryRuns(chosen, f"router at {app.conf.canonical_url}")
    app.lane.closing += [runs.stop, rules.stop, services.close]
    declare = app.lane_agent(
        name=NAME,
        sources=sources_of(chosen),
        redrive=True,
        tables=[counts],
        ready=rules.ready,
        prepare=router.prepare,
        on_refused=refused,
        config=rules.snapshot,
    )
    declare(router.process)
    standing = add_views(app, rules)
    more = _more_routes(chosen, app, services, rules, runs)
    mount(app.web_app, services, standing.add_routes, *more)
    return app


def _more_routes(
    config: Settings, app: LaneApp, services: Services, rules: ConfigTable[Timeline], runs: DryRuns
) -> Iterator[AddRoutes]:
    """Yield what adds the router's own paths to the API."""

    async def timeline() -> Timeline:
        await rules.ready()
        return rules.snapshot()

    explainer = Explainer(
        services.lane,
        services.registry,
        sources_of(config),
        group=app.conf.id,
        timeline=timeline,
        worker_url=str(app.conf.canonical_url),
    )
    yield DryRunHandlers(runs, sources_of(config)).add_routes
    yield ExplainHandlers(explainer).add_routes


def sources_of(config: Settings) -> list[str]:
    """Return the topics that the router reads, each once."""
    names = (name.strip() for name in config.router_sources.split(","))
    return list(dict.fromkeys(name for name in names if name))
