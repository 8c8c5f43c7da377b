"""One app's load: its topics, its ledger, and how far its group has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.lane_ledger import Ledger
from tests.support.lane_worker import topics_of
from tests.support.polling import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.support.lane_kafka import Cluster
    from tests.support.lane_processes import Worker

PARTITIONS = 4
LIMIT_S = 90.0


@dataclass(frozen=True)
class Load:
    """Charges written to an app's source topic, and accounted for.

    Attributes:
        cluster: The broker.
        app_id: The app, and its group.
        source: Its source topic.
        ledger: What must come of the charges.
    """

    cluster: Cluster
    app_id: str
    source: str
    ledger: Ledger = field(repr=False)

    @classmethod
    async def prepared(
        cls, cluster: Cluster, unique: Callable[[str], str], *, seed: int, poison_share: float = 0.0
    ) -> Load:
        """Create an app's topics; nothing is in them yet."""
        print(f"seed {seed}")  # noqa: T201 - shown where the test fails, to run it again
        load = cls(cluster, unique("app"), unique("charges"), Ledger(seed, poison_share))
        await cluster.create(topics_of(load.source, PARTITIONS))
        return load

    async def send(self, count: int) -> None:
        """Write `count` more charges."""
        sent = await self.cluster.send(self.source, self.ledger.charges(count), partitions=PARTITIONS)
        assert sent == count

    async def committed(self) -> int:
        """Return how many offsets the group has committed."""
        return sum((await self.cluster.committed(self.app_id, self.source)).values())

    async def reached(self, events: int) -> None:
        """Wait until the group has committed `events` offsets."""

        async def so_far() -> bool:
            return await self.committed() >= events

        await until(so_far, LIMIT_S, f"{events} events committed", every_s=0.01)

    async def is_consumed(self) -> bool:
        """Tell whether every partition of the source is committed to its end."""
        return await self.cluster.consumed(self.app_id, self.source)

    async def consumed(self) -> None:
        """Wait until every partition of the source is committed to its end."""
        await until(self.is_consumed, LIMIT_S, f"the end of every partition of {self.source}")

    async def check(self) -> None:
        """Compare all that read_committed readers see with the ledger."""
        await self.ledger.check(self.cluster, self.app_id, self.source)


async def all_running(workers: Iterable[Worker]) -> None:
    """Wait until all partitions run, each on one of `workers`, each of which has some."""
    asked = list(workers)

    async def shared() -> bool:
        held = [
            {task["partition"] for task in await worker.tasks() if task["status"] == "running"}
            for worker in asked
        ]
        return all(held) and sorted(n for each in held for n in each) == list(range(PARTITIONS))

    await until(shared, LIMIT_S, f"all partitions shared between {len(asked)} workers")
