"""What the demonstration reads of the aggregates, over HTTP as anyone with a key may."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from agents.aggregator.domain.plan import Compiled, Planner
from fleet.cli.run.outcome import Check
from tables.aggregations.definition import parse_definition

if TYPE_CHECKING:
    from agents.normalizer.ledger import Ledger
    from fleet.cli.run.processes import Fleet

BY_PROVIDER: Final = "claims-by-provider"
BY_DAY: Final = "claims-by-provider-day"
FRONT_DOOR: Final = "gateway"
PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Sums:
    """Claims, and their charges in US dollars."""

    claims: int = 0
    charges: Decimal = Decimal(0)

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.claims + other.claims, self.charges + other.charges)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.claims - other.claims, self.charges - other.charges)


ByProvider = Mapping[str, Sums]


def plus(left: ByProvider, right: ByProvider) -> ByProvider:
    """Return the sums of both."""
    return _each(left, right, Sums.__add__)


def minus(left: ByProvider, right: ByProvider) -> ByProvider:
    """Return what the sums of `left` have more; a provider with nothing more is left out."""
    return _each(left, right, Sums.__sub__)


def total(sums: ByProvider) -> Sums:
    """Return the sum over all providers."""
    return sum(sums.values(), Sums())


def checks(ledger: Ledger, found: Mapping[str, ByProvider]) -> list[Check]:
    """Return what must hold between files and aggregates.

    Args:
        ledger: What is in the files, by the names that groups have.
        found: What the aggregations have of it: `BY_PROVIDER`, and `BY_DAY` with what came too late.
    """
    wanted = {npi: Sums(n, ledger.by_provider[npi]) for npi, n in ledger.claims_by_provider.items()}
    made = []
    for name, what in ((BY_PROVIDER, "aggregated"), (BY_DAY, "by day + late")):
        sums = total(found[name])
        npis = wanted.keys() | found[name].keys()
        wrong = [npi for npi in npis if found[name].get(npi) != wanted.get(npi)]
        made += [
            Check(f"claims in the files = {what}", ledger.claims, sums.claims),
            Check(f"charges in the files = {what}, to the cent", ledger.total, sums.charges),
            Check(f"providers {what} whose sums differ", 0, len(wrong)),
        ]
    return made


def _each(left: ByProvider, right: ByProvider, operator: Callable[[Sums, Sums], Sums]) -> ByProvider:
    names = left.keys() | right.keys()
    found = {name: operator(left.get(name, Sums()), right.get(name, Sums())) for name in names}
    return {name: sums for name, sums in found.items() if sums != Sums()}


class Aggregates:
    """Reads aggregates through the gateway.

    Args:
        fleet: The running processes.
        token: A key to the API.
    """

    def __init__(self, fleet: Fleet, token: str) -> None:
        self._fleet = fleet
        self._token = token

    async def sums(self, name: str) -> ByProvider:
        """Return the sums of each provider over all windows of an aggregation."""
        found: defaultdict[str, Sums] = defaultdict(Sums)
        async for window in self._pages(name, "/windows", "windows"):
            start = "all" if window["start"] is None else quote(window["start"])
            async for row in self._pages(name, f"/windows/{start}", "rows"):
                values = row["values"]
                found[row["key"]["provider"]] += Sums(values["claims"], Decimal(values["charges"]))
        return found

    async def top(self, most: int) -> list[dict[str, Any]]:
        """Return the providers with the most charges, with claims and charges."""
        query = urlencode({"by": "charges", "n": most})
        answer = await self._get(BY_PROVIDER, f"/windows/all/top?{query}")
        return [
            {
                "provider": row["key"]["provider"],
                **{name: row["values"][name] for name in ("claims", "charges")},
            }
            for row in answer["rows"]
        ]

    async def is_live(self, name: str) -> bool:
        """Return whether an aggregation has heard of all its sources: it has what comes from now on."""
        status = await self._get(name, "")
        found = [each for each in status["builds"] if each["build"] == status["serving"]]
        return bool(found) and found[0]["sources"]["never_heard_count"] == 0

    async def serving(self, name: str) -> Compiled:
        """Return the build of an aggregation that is served."""
        path = f"/v1/aggregations/{name}"
        row = await asyncio.to_thread(self._fleet.get, FRONT_DOOR, path, token=self._token)
        return Planner().plan({name: parse_definition(row)}, 0).serving[name]

    async def _pages(self, name: str, path: str, member: str) -> AsyncIterator[dict[str, Any]]:
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            answer = await self._get(name, f"{path}?{urlencode(query)}")
            for each in answer[member]:
                yield each
            if not answer.get("next"):
                return
            query["cursor"] = answer["next"]

    async def _get(self, name: str, path: str) -> Any:
        path = f"/v1/aggregates/{name}{path}"
        return await asyncio.to_thread(self._fleet.get, FRONT_DOOR, path, token=self._token)
