"""Web views of the router: the rules active here, and exact counts over all workers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from agents.router.counting import COUNTS, by_rule, merged, new_counts, totals
from agents.router.domain.timeline import Timeline
from agents.router.standing_api import StandingHandlers
from fleet.lane import LaneApp
from fleet.lane.gather import gather
from tables.config import ConfigTable
from tables.routes.rule import State


def add_views(app: LaneApp, rules: ConfigTable[Timeline]) -> StandingHandlers:
    """Add ``/routes``, ``/routed`` and ``/routed/rules`` to the app's web views.

    Returns:
        The handlers of the API that show the same.
    """

    def active() -> dict[str, Any]:
        listed = [
            {**msgspec.to_builtins(rule), "active_since": rules.active_since.get(rule.name)}
            for rule in rules.snapshot().rules
        ]
        worker = str(app.conf.canonical_url)
        return {"worker": worker, "offset": rules.offset, "rules": listed, "refused": rules.refused}

    @app.page("/routes", name="routes")
    async def routes(view: Any, request: Any) -> Any:
        """The rules as this worker has them, since when, and rows that were refused."""
        del request
        return view.json(active())

    async def rows(partitions: set[int]) -> dict[str, Any]:
        return {key: row async for key, row in app.lane_rows(COUNTS, partitions)}

    async def outcomes(partitions: set[int]) -> dict[str, int]:
        held = await rows(partitions)
        return {**totals(held), **{label: each["delivered"] for label, each in by_rule(held).items()}}

    async def rule_counts(partitions: set[int]) -> dict[str, dict[str, Any]]:
        return by_rule(await rows(partitions))

    @app.page("/routed", name="routed")
    async def routed(view: Any, request: Any) -> Any:
        """Events by outcome and copies by rule, over all partitions and workers; exact, as committed."""
        found: Counter[str] = Counter()
        for part in await gather(app, request, COUNTS, outcomes):
            found.update(part)
        return view.json(dict(sorted(found.items())))

    async def counted(request: Any) -> dict[str, Any]:
        # A version that no event has met since it became active has counts all the same.
        active = {
            f"{rule.name}@{rule.version}": new_counts(int(rules.active_since.get(rule.name, 0) * 1000))
            for rule in rules.snapshot().rules
            if rule.state is State.ACTIVE
        }
        return {**active, **merged(await gather(app, request, COUNTS, rule_counts))}

    @app.page("/routed/rules", name="routed_rules")
    async def routed_rules(view: Any, request: Any) -> Any:
        """What became of events by version of a rule, over all partitions and workers; exact."""
        return view.json(dict(sorted((await counted(request)).items())))

    return StandingHandlers(active, counted)
