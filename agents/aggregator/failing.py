"""Builds that refuse most of their events: an expression of theirs does not fit what comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from agents.aggregator.domain.progress import source_progress
from tables.aggregations.definition import State

if TYPE_CHECKING:
    from agents.aggregator.domain.plan import Compiled, Plan
    from fleet.lane.store import Store

LEAST: Final = 1_000
"""Refused events below which a share of them says little."""


def failing(stores: Mapping[int, Store], plan: Plan, share: float) -> Iterator[tuple[Compiled, str]]:
    """Yield active builds that refuse more than a share of their events, and why they are to be paused.

    Args:
        stores: Partitions of the table of sources, those of this worker.
        plan: The plan.
        share: Share of refused events, from 0 to 1.
    """
    taken: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for store in stores.values():
        for _, row in store.scan("", None):
            for name, progress in source_progress(row).builds.items():
                taken[name] += progress.taken
                refused[name] += progress.refused
    for name, count in refused.items():
        build = plan.builds.get(name)
        if build is None or build.definition.state is not State.ACTIVE or count < LEAST:
            continue
        events = count + taken[name]
        if count > share * events:
            number = build.build.number
            why = (
                f"failing: build {number} refused {count:,} of {events:,} events; see "
                f"`eventfleet dead-letters list`, mend the expression that it names, then redrive them"
            )
            yield build, why
