"""The lane's side of an app: its agents, tables and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.errors import FatalError
from fleet.lane.host import LaneHost
from fleet.lane.migration import Migration
from fleet.lane.repartition import Purge, Repartition
from fleet.lane.tables import LaneTable
from fleet.lane.versions import Version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from fleet.lane.app import LaneApp
    from fleet.lane.config import LaneConfig
    from fleet.lane.membership import Membership
    from fleet.lane.stores import Stores


class Lane:
    """The lane's side of an app: its agents, tables and tasks.

    Attributes:
        host: Runs the tasks.
        closing: Called at the stop, after the tasks: what agents opened for themselves.
        repartitions: Topics of the app's own, between its agents.
        purge: Deletes what was read of them.
    """

    def __init__(self, app: LaneApp, config: LaneConfig, stores: Stores) -> None:
        self._app = app
        self.closing: list[Callable[[], Awaitable[None]]] = []
        self.host = LaneHost(
            config,
            app.conf.id,
            self.changelog,
            self._membership,
            stores,
            version=Version(app.conf.name, app.conf.version),
        )
        self.repartitions: list[Repartition] = []
        self.purge = Purge(self.host)

    def changelog(self, table: str) -> str:
        """Return the changelog topic of `table`."""
        return str(self._app.tables[table].changelog_topic.get_topic_name())

    def has_table(self, table: str) -> bool:
        """Return whether one of the app's agents owns `table`."""
        return any(table in agent.tables for agent in self.host.agents.values())

    def table_partitions(self, table: str) -> int:
        """Return the partition count of `table`; 0 while it is not known."""
        info = self.host.topics.get(self.changelog(table))
        return 0 if info is None else info.partitions

    def source_of(self, table: str) -> str:
        """Return a source topic of the agent that owns `table`; its partitions place the rows."""
        for agent in self.host.agents.values():
            if table in agent.tables:
                return agent.sources[0]
        raise KeyError(table)

    def refuse_shared(self, name: str, sources: Iterable[str]) -> None:
        """Refuse a source that another agent reads: the app's one group has one offset for both.

        Raises:
            FatalError: There is one.
        """
        for agent in self.host.agents.values():
            for topic in set(sources) & set(agent.sources):
                message = f"agents {agent.name} and {name} both read {topic}: an app has one offset of it"
                raise FatalError(message, hint="do the work in one agent, or give one an app of its own")

    def migrations(self, origin: int) -> list[Migration]:
        """Return each agent's way from version `origin` to this one."""
        version = Version(self.host.version.name, origin)
        convert = {
            name: table.migrate
            for name, table in self._app.tables.items()
            if isinstance(table, LaneTable) and table.migrate is not None
        }
        return [Migration(self.host, agent, version, convert) for agent in self.host.agents.values()]

    def _membership(self) -> Membership:
        consumer: Any = self._app.consumer
        membership: Membership = consumer.membership()
        return membership

    async def preflight(self) -> None:
        """Check every agent's topics before anything starts.

        Raises:
            FatalError: Kafka is out of reach, a topic is missing, or partition counts differ.
        """
        try:
            await self.host.topics.admin()
        except Exception as error:
            message = f"Kafka at {self.host.config.bootstrap_servers} does not answer"
            raise FatalError(
                message, hint="start it with `eventfleet stack up`, or set EVENTFLEET_BOOTSTRAP_SERVERS"
            ) from error
        try:
            await self.prepare()
        finally:
            await self.host.topics.close()

    async def prepare(self) -> None:
        """Create the topics of the app's own, and check those of its agents.

        Raises:
            FatalError: A topic is missing, or partition counts differ.
        """
        for repartition in self.repartitions:
            await repartition.ensure(self.host.topics)
        for agent in self.host.agents.values():
            await self.host.prepare(agent)
