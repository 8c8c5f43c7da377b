"""A Faust app whose agents run on the exactly-once lane."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Any, cast

import faust
from yarl import URL

from fleet.errors import FatalError
from fleet.lane.agent import LaneAgent
from fleet.lane.assignor import LaneAssignor
from fleet.lane.config import LaneConfig
from fleet.lane.dead_letter_limit import DeadLetterLimit
from fleet.lane.inbox import INBOX_PREFIX
from fleet.lane.lane import Lane
from fleet.lane.repartition import PURGE_EVERY_S, Repartition
from fleet.lane.routing import LaneRouter
from fleet.lane.stores import StoreKind, Stores
from fleet.lane.tables import LaneTable, LaneTableManager
from fleet.lane.transport import LaneTransport
from fleet.lane.web import add_views
from fleet.logs import logging_config
from fleet.settings import Settings, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from aiohttp.web import Application
    from faust.types.tuples import TP

    from fleet.lane.agent import Process

log = logging.getLogger(__name__)


class LaneApp(faust.App):
    """A Faust app with lane agents and lane tables beside Faust's own.

    Faust owns membership: which worker has which partitions. The lane owns position, state
    and transactions of its topics.

    Args:
        name: App id and consumer group.
        web_port: Port of the web views.
        config: Process settings; from the environment by default.
        lane: Limits of the lane; from the settings by default.
        options: Faust's own. A new ``version`` starts with the offsets and state of the one before
            (`eventfleet state migrate`), or not at all.
    """

    def __init__(
        self,
        name: str,
        *,
        web_port: int = 6066,
        config: Settings | None = None,
        lane: LaneConfig | None = None,
        **options: Any,
    ) -> None:
        chosen = config or settings()
        limits = lane or LaneConfig.of(chosen)
        self.lane_topics: set[str] = set()
        self._agent_defaults = {"dead_letter_limit": DeadLetterLimit(chosen.dead_letter_share)}
        brokers = ";".join(f"kafka://{server}" for server in limits.bootstrap_servers.split(","))
        canonical = os.environ.get("NODE_CANONICAL_URL") or f"http://{chosen.host}:{web_port}"
        defaults: dict[str, Any] = {
            "broker": brokers,
            "broker_session_timeout": limits.session_timeout_s,
            "broker_heartbeat_interval": limits.session_timeout_s / 5,
            "broker_rebalance_timeout": limits.session_timeout_s * 3,
            "broker_request_timeout": max(30.0, limits.session_timeout_s * 2),
            "canonical_url": canonical,
            "consumer_auto_offset_reset": "earliest",
            "datadir": str(chosen.data_dir / "faust" / f"{name}-{web_port}"),
            "PartitionAssignor": LaneAssignor,
            "Router": LaneRouter,
            "logging_config": logging_config(chosen),
            "store": "memory://",
            "stream_wait_empty": False,
            "TableManager": LaneTableManager,
            "table_standby_replicas": limits.standbys,
            "topic_allow_declare": False,
            "topic_disable_leader": True,
            "web_bind": os.environ.get("EVENTFLEET_WEB_BIND", chosen.host),
            "web_port": web_port,
            "worker_redirect_stdouts": False,
        }
        super().__init__(name, **{**defaults, **options})
        self._store_kind = chosen.store
        folder = chosen.data_dir / "tables" / f"{name}-{web_port}"
        self.lane = Lane(self, limits, Stores(folder, self._kind_of, chosen.rocksdb_mib << 20))
        add_views(self)

    async def on_first_start(self) -> None:
        """Make the folder that Faust wants, and take back the URL that its ``--web-port`` overwrites."""
        if canonical := os.environ.get("NODE_CANONICAL_URL"):
            self.conf.canonical_url = URL(canonical)
        self.conf.datadir.mkdir(parents=True, exist_ok=True)
        await super().on_first_start()

    def _kind_of(self, table: str) -> StoreKind:
        return cast("LaneTable", self.tables[table]).store_kind

    def lane_table(self, name: str, *, store: StoreKind | None = None, **options: Any) -> LaneTable:
        """Declare a table with text keys and JSON values, owned by one lane agent.

        Args:
            name: Name of the table; its changelog is ``<app>-<name>-changelog``.
            store: Where its rows are kept; as the settings say by default.
            options: See `LaneTable`, and Faust's own, e.g. ``help``.
        """
        table = LaneTable(self, name=name, key_type=str, store_kind=store or self._store_kind, **options)
        self.tables.add(table)
        return table

    def lane_rows(self, table: str, partitions: Collection[int]) -> AsyncIterator[tuple[str, Any]]:
        """Yield (key, row) of this worker's `partitions` of a lane table (see `LaneTable.committed_rows`)."""
        return cast("LaneTable", self.tables[table]).committed_rows(partitions)

    def repartition(self, name: str, *, partitions: int) -> Repartition:
        """Declare a topic of the app's own, through which one agent passes records on to another.

        Args:
            name: Name of it; the topic is ``<app>-<name>-repartition``.
            partitions: Partitions of it; never change the number.
        """
        made = Repartition(f"{self.conf.name}-{name}-repartition", partitions)
        if not self.lane.repartitions:
            self.timer(interval=PURGE_EVERY_S)(self.lane.purge.run)
        self.lane.purge.topics.add(made.topic)
        self.lane.repartitions.append(made)
        return made

    def lane_agent(
        self,
        *,
        name: str,
        sources: Sequence[str | Repartition],
        tables: list[LaneTable] | None = None,
        redrive: bool = False,
        **options: Any,
    ) -> Callable[[Process], Process]:
        """Declare a lane agent: a pure function over (chunk, state) that yields effects.

        Args:
            name: Name of the agent; never change it.
            sources: Co-partitioned source topics, each read by this agent of the app alone.
            tables: Tables that the agent owns.
            redrive: Whether dead letters can be sent to it again: it then reads the topic
                ``fleet.redrive.<name>`` too, which has as many partitions as its sources.
            options: See `LaneAgent`; ``dead_letters`` is ``fleet.dead-letters.<name>`` by default.

        Raises:
            FatalError: Another agent of the app reads one of the sources.
        """
        topics = tuple(each.topic if isinstance(each, Repartition) else each for each in sources)
        inbox = f"{INBOX_PREFIX}{name}" if redrive else ""
        topics += (inbox,) if inbox else ()
        self.lane.refuse_shared(name, topics)

        def declare(process: Process) -> Process:
            agent = LaneAgent(
                name=name,
                sources=topics,
                process=process,
                tables=tuple(table.name for table in tables or ()),
                inbox=inbox,
                **{**self._agent_defaults, "dead_letters": f"fleet.dead-letters.{name}", **options},
            )
            self.lane_topics.update(agent.sources)
            # Nobody asks for their rows by key: the view answers that there are none.
            if agent.timers_table:
                self.lane_table(agent.timers_table, partition_by=int, help=f"Timers of {name}")
            if agent.positions_table:
                self.lane_table(agent.positions_table, partition_by=int, help=f"Positions of {name}")
            self.lane.host.add(agent)
            source = self.topic(*agent.sources, key_type=bytes, value_type=bytes, value_serializer="raw")
            self.agent(source, name=name)(_shell(self, agent))
            return process

        return declare

    def _new_transport(self) -> LaneTransport:
        return LaneTransport(self.conf.broker_consumer, self)

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        await self.lane.host.revoked()
        await super()._on_partitions_revoked(revoked)

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        standbys = cast("LaneAssignor", self.assignor).lane_standbys()
        self.lane.host.assigned([tp for tp in assigned if tp.topic in self.lane_topics], standbys)
        await super()._on_partitions_assigned(assigned, generation_id)

    async def on_stop(self) -> None:
        """Let the lane finish the chunks in hand before Faust leaves the group."""
        await self.lane.host.stop()
        for close in self.lane.closing:
            await close()
        await super().on_stop()

    @property
    def web_app(self) -> Application:
        """The aiohttp application of the web views, for further paths to be added before it starts."""
        return cast("Application", cast("Any", self.web).web_app)

    @property
    def lane_router(self) -> LaneRouter:
        """The app's router, as what it is."""
        return cast("LaneRouter", self.router)

    def stop_fatally(self, error: FatalError) -> None:
        """End this process in order, with `error` as its last line."""
        if self.lane.host.fatal is None:
            self.lane.host.fatal = error
            os.kill(os.getpid(), signal.SIGTERM)


def _shell(app: LaneApp, agent: LaneAgent) -> Any:
    """Return the Faust agent that hosts `agent`'s tasks, so that Faust supervises and lists it."""

    async def shell(stream: Any) -> None:
        del stream  # Faust subscribes the topic by it; the tasks fetch for themselves.
        try:
            await app.lane.host.serve(agent.name)
        except FatalError as error:
            app.stop_fatally(error)
            await asyncio.Event().wait()

    shell.__name__ = shell.__qualname__ = agent.name
    shell.__module__ = agent.process.__module__
    shell.__doc__ = agent.process.__doc__
    return shell
