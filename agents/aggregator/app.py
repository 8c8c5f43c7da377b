"""The aggregator worker: events in, and out what teams define of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from agents.aggregator.domain.plan import Compiled, Plan, Planner
from agents.aggregator.domain.progress import parse_source_key
from agents.aggregator.domain.rows import BUILDS, INDEX, PENDING, ROWS, group_of, parse_build_key
from agents.aggregator.failing import failing
from agents.aggregator.history import HISTORIES, History
from agents.aggregator.merge import Merger
from agents.aggregator.partials import SOURCES, Partials
from agents.aggregator.queries import queries
from agents.aggregator.quota import QuotaWatch
from api import Services, mount
from fleet.lane import LaneApp
from fleet.lane.following import slot_of
from fleet.settings import Settings, settings
from schemas.codec import Codec
from tables.aggregations.acting import pause_over_quota
from tables.aggregations.kind import AUDIT, TOPIC
from tables.config import ConfigTable

if TYPE_CHECKING:
    from fleet.lane import LaneTable, Repartition

NAME: Final = "aggregator"
PARTIALS: Final = "aggregator-partials"
HISTORY: Final = "aggregator-history"
PARTITIONS: Final = 6
"""Partitions of the state, and slots that share the sources; never change the number."""

LINGER_S: Final = 0.1
"""How long partial aggregates wait for more to be merged with."""


def new_app(config: Settings | None = None, *, name: str = NAME) -> LaneApp:
    """Return the worker's app, of which `name` is the app id and the consumer group."""
    chosen = config or settings()
    app = LaneApp(name, web_port=chosen.aggregator_port, config=chosen)
    services = Services.of(chosen)
    planner = Planner()
    definitions = ConfigTable(services.lane, TOPIC, planner.parse, planner.plan, audit=AUDIT)
    codec = Codec(services.registry)
    begun, partials, history = (
        app.repartition(topic, partitions=PARTITIONS) for topic in ("begun", "partials", "history")
    )
    idle_ms = int(chosen.idle_after_s * 1_000)
    _add_first(app, definitions, Partials(codec, partials, begun, idle_ms))
    _add_history(app, definitions, History(codec, history, begun, definitions.snapshot), begun)
    second = Merger(codec, definitions.snapshot, lambda: definitions.offset, PARTITIONS)
    watch = _watch(app, definitions, services, chosen.dead_letter_share)
    _add_second(app, definitions, second, [partials, history], watch)
    app.lane.closing += [watch.stop, definitions.stop, services.close]
    asked = queries(app, services, codec, ready=definitions.ready, plan=definitions.snapshot)
    mount(app.web_app, services, asked)
    return app


def _add_first(app: LaneApp, definitions: ConfigTable[Plan], stage: Partials) -> None:
    declare = app.lane_agent(
        name=PARTIALS,
        sources=[app.repartition("slots", partitions=PARTITIONS)],
        redrive=True,
        tables=[_by_source(app, SOURCES, "How far builds have got, keyed <event type>/<partition>")],
        prepare=stage.prepare,
        follows=stage.follows,
        on_tick=stage.on_tick,
        linger_s=LINGER_S / 2,
        # The more events a chunk has, the fewer shares there are for the second stage to merge.
        max_chunk_records=32_000,
        max_chunk_bytes=24 << 20,
        max_fetch_bytes=8 << 20,
        **_common(definitions),
    )
    declare(stage.process)


def _add_history(app: LaneApp, definitions: ConfigTable[Plan], stage: History, begun: Repartition) -> None:
    declare = app.lane_agent(
        name=HISTORY,
        sources=[begun],
        redrive=True,
        background=True,
        tables=[_by_source(app, HISTORIES, "Histories that are being read, keyed <event type>/<partition>")],
        prepare=stage.prepare,
        follows=stage.follows,
        on_tick=stage.on_tick,
        **_common(definitions),
    )
    declare(stage.process)


def _add_second(
    app: LaneApp,
    definitions: ConfigTable[Plan],
    stage: Merger,
    sources: list[Repartition],
    watch: QuotaWatch,
) -> None:
    async def ready() -> None:
        await definitions.ready()
        await stage.ready()
        watch.start()

    tables = [
        _by_group(app, ROWS, "Aggregates, keyed <build>|<group>|<end and start of the window>"),
        _by_group(app, INDEX, "Windows that have rows, keyed <build>|<end and start>|<group>"),
        _by_group(app, PENDING, "Updates to be written, keyed <due>|<key of the row>"),
        app.lane_table(
            BUILDS,
            # Few rows, which every tick reads.
            store="memory",
            partition_by=lambda key: parse_build_key(key)[0],
            help="How far builds have got, keyed <partition>/<build>",
        ),
    ]
    declare = app.lane_agent(
        name=NAME,
        sources=sources,
        redrive=True,
        tables=tables,
        prepare=stage.prepare,
        on_tick=stage.on_tick,
        linger_s=LINGER_S,
        **{**_common(definitions), "ready": ready},
    )
    declare(stage.process)


def _watch(app: LaneApp, definitions: ConfigTable[Plan], services: Services, share: float) -> QuotaWatch:
    def refusing() -> list[tuple[Compiled, str]]:
        return list(failing(app.lane.host.owned(SOURCES), definitions.snapshot(), share))

    return QuotaWatch(
        lambda: app.lane.host.owned(BUILDS),
        definitions.snapshot,
        PARTITIONS,
        partial(pause_over_quota, services.aggregations),
        refusing,
    )


def _common(definitions: ConfigTable[Plan]) -> dict[str, Any]:
    return {
        "ready": definitions.ready,
        "config": definitions.snapshot,
        # A definition whose expressions fail must not halt the others.
        "dead_letter_limit": None,
    }


def _by_source(app: LaneApp, name: str, about: str) -> LaneTable:
    return app.lane_table(
        name, partition_by=lambda key: slot_of(*parse_source_key(key), PARTITIONS), help=about
    )


def _by_group(app: LaneApp, name: str, about: str) -> LaneTable:
    return app.lane_table(name, route_by=partial(group_of, name), help=about)
