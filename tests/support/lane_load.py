"""One app's load: its topics, its ledger, and how far its group has come."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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
EVENTS = int(os.environ.get("EVENTFLEET_FAULT_EVENTS", "200000"))
"""Events of the larger fault tests; the smaller ones take a share. More of them make a longer soak."""

LIMIT_S = max(90.0, EVENTS / 1000)
LIVE_WITHIN_S = 15.0
TRICKLE_EVERY_S = 0.2


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
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

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
        async with self._sending:  # The ledger has them in the order in which they are made.
            sent = await self.cluster.send(self.source, self.ledger.charges(count), partitions=PARTITIONS)
        assert sent == count

    @asynccontextmanager
    async def flowing(self, per_second: int) -> AsyncIterator[None]:
        """Go on writing charges within the block, about so many a second; the broker must live on."""
        enough = asyncio.Event()

        async def flow() -> None:
            while not enough.is_set():
                await self.send(int(per_second * TRICKLE_EVERY_S))
                with suppress(TimeoutError):
                    await asyncio.wait_for(enough.wait(), TRICKLE_EVERY_S)

        flowing = asyncio.ensure_future(flow())
        try:
            yield
        finally:
            enough.set()
            await flowing

    async def committed(self) -> int:
        """Return how many offsets the group has committed."""
        return sum((await self.committed_at()).values())

    async def committed_at(self) -> dict[int, int]:
        """Return the group's committed offset of each partition."""
        return await self.cluster.committed(self.app_id, self.source)

    async def live(self, workers: Iterable[Worker], after: str) -> None:
        """Wait until all partitions run on `workers`, and each has got on; say how long that took.

        A loaded machine may need longer than the platform promises, so that is said, not asserted.
        """
        started = time.monotonic()
        await all_running(workers)
        before = await self.committed_at()
        await self.send(25 * PARTITIONS)

        async def got_on() -> bool:
            now = await self.committed_at()
            return all(now[partition] > before[partition] for partition in before)

        await until(got_on, LIMIT_S, f"every partition consumed again after {after}")
        took_s = time.monotonic() - started
        late = "" if took_s <= LIVE_WITHIN_S else f", over {LIVE_WITHIN_S:g}"
        print(f"every partition is consumed again {took_s:.1f} s after {after}{late}")  # noqa: T201 - as above

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


async def copied(worker: Worker) -> None:
    """Wait until `worker` has copies, up to date, of all partitions that it does not run."""

    async def up_to_date() -> bool:
        own = {task["partition"] for task in await worker.tasks()}
        copies = {copy["partition"] for copy in await worker.standbys() if copy["lag"] == 0}
        return own | copies == set(range(PARTITIONS))

    await until(up_to_date, LIMIT_S, "standbys of all that others own")
