"""Web views of the router: the rules active here, and exact counts over all workers."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from agents.router.domain.routing import RuleSet
from agents.router.route import COUNTS
from fleet.lane import LaneApp
from fleet.lane.gather import gather
from tables.config import ConfigTable


def add_views(app: LaneApp, rules: ConfigTable[RuleSet]) -> None:
    """Add ``/routes`` and ``/routed`` to the app's web views."""

    @app.page("/routes", name="routes")
    async def routes(view: Any, request: Any) -> Any:
        """The rules as this worker has them, since when, and rows that were refused."""
        del request
        return view.json(
            {
                "offset": rules.offset,
                "rules": [
                    {**_row(rule), "active_since": rules.active_since.get(rule.name)}
                    for rule in rules.snapshot().rules
                ],
                "refused": rules.refused,
            }
        )

    @app.page("/routed", name="routed")
    async def routed(view: Any, request: Any) -> Any:
        """Events by rule, in total over all partitions and workers; exact, as committed."""
        parts = await gather(app, request, COUNTS, partial(_counts, app))
        totals: Counter[str] = Counter()
        for part in parts:
            totals.update(part)
        return view.json(dict(sorted(totals.items())))


async def _counts(app: LaneApp, partitions: set[int]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    async for key, count in app.lane_rows(COUNTS, partitions):
        totals[key.split("/", 1)[1]] += count
    return dict(totals)


def _row(rule: Any) -> dict[str, Any]:
    return {
        "name": rule.name,
        "version": rule.version,
        "owner": rule.owner,
        "source": rule.source,
        "condition": rule.condition,
        "targets": list(rule.targets),
        "state": rule.state.value,
        "description": rule.description,
    }
