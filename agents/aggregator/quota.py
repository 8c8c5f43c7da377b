"""Stops aggregations whose state has grown over their quota, so that they take nothing from the others.

What is over is refused where it is kept, at once and without this; this stops the events that are of no use
any more, and tells people why, in the definition and in the audit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from agents.aggregator.domain.plan import Compiled, Plan
from agents.aggregator.domain.quotas import Share, share_of
from agents.aggregator.domain.rows import Progress, build_key
from fleet.errors import EventfleetError
from tables.aggregations.definition import State

if TYPE_CHECKING:
    from fleet.lane.store import Store

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
STOP_LIMIT_S: Final = 5.0

Pause: TypeAlias = Callable[[str, int, str], Awaitable[bool]]


class QuotaWatch:
    """Looks at what builds keep in the partitions of this worker, and pauses those that are over their quota.

    Args:
        stores: Gives this worker's partitions of the table of builds.
        plan: Gives the current plan.
        partitions: Over how many partitions quotas are spread.
        pause: Pauses an aggregation, by its name, the number of the build, and why; done twice, it does
            nothing.
        failing: Gives builds that are to be paused for another reason, and which.
    """

    def __init__(
        self,
        stores: Callable[[], Mapping[int, Store]],
        plan: Callable[[], Plan],
        partitions: int,
        pause: Pause,
        failing: Callable[[], Iterable[tuple[Compiled, str]]] = tuple,
    ) -> None:
        self._stores = stores
        self._plan = plan
        self._partitions = partitions
        self._pause = pause
        self._failing = failing
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look every second from now on."""
        if self._watching is None:
            self._watching = asyncio.ensure_future(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching}, timeout=STOP_LIMIT_S)

    async def look(self) -> None:
        """Pause what is over its quota now."""
        over = dict(self._failing())
        over |= {build: why for partition in self._stores() for build, why in self._over(partition)}
        for build, why in over.items():
            name, number = build.definition.name, build.build.number
            try:
                if await self._pause(name, number, why):
                    log.warning("aggregation %s is paused: %s", name, why)
            except EventfleetError as error:
                log.warning("aggregation %s is to be paused, and is not yet: %s", name, error)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception:  # whatever it is, the next round looks again
                log.exception("quotas of aggregations")

    def _over(self, partition: int) -> Iterator[tuple[Compiled, str]]:
        """Yield builds that refuse new keys in a partition by the limits as they are now, and why."""
        store = self._stores().get(partition)
        for build in self._plan().builds.values():
            row = None if store is None else store.get(build_key(partition, build.id))
            if row is None or not row["over_quota"] or build.definition.state is not State.ACTIVE:
                continue
            progress, share = Progress.of(row), share_of(build.definition.limits, self._partitions)
            if share.is_used_up(progress):
                yield build, _reason(build, partition, progress, share)


def _reason(build: Compiled, partition: int, progress: Progress, share: Share) -> str:
    if progress.keys >= share.keys:
        kept, limit = f"{progress.keys:,} keys", f"{share.keys:,} of limits.max_keys"
        setting = "limits.max_keys"
    else:
        kept = f"{progress.size_bytes:,} bytes"
        limit, setting = f"{share.size_bytes:,} of limits.max_state_mib", "limits.max_state_mib"
    build_number = build.build.number
    return (
        f"over quota: build {build_number} keeps {kept} in partition {partition}, which may have {limit}; "
        f"raise {setting}, shorten retention_ms or group by less, then resume"
    )
