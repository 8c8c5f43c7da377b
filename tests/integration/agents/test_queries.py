"""Queries on two aggregators: the same right answer from either, or a 503, never a wrong one."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from agents.normalizer.ledger import Ledger, count_and_sum
from agents.normalizer.samples import generate
from fleet.cli.run.aggregates import BY_DAY, BY_PROVIDER
from fleet.cli.run.publish import RawFile, publish
from tests.support.agents_fleet import BY_HOUR, Fleet
from tests.support.agents_mark import Mark
from tests.support.agents_views import Answer, running
from tests.support.lane_processes import Worker
from tests.support.polling import until

CLAIMS = 600
SEED = 424_242
LIMIT_S = 60.0
SIZES = {BY_HOUR: timedelta(hours=1), BY_DAY: timedelta(days=1)}

Sums = tuple[int, Decimal]


@dataclass(frozen=True)
class Expected:
    """What must be answered, summed from the files without the platform.

    Attributes:
        windows: Claims and charges by aggregation, provider and start of the window.
    """

    windows: dict[str, dict[str, dict[str, Sums]]]

    @classmethod
    def of(cls, ledger: Ledger) -> Expected:
        """Sum a ledger's hours up to windows."""
        claims: Counter[tuple[str, str, str]] = Counter()
        charges: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        for (npi, text), count in ledger.claims_by_provider_hour.items():
            hour = datetime.strptime(text, "%Y%m%d%H").replace(tzinfo=UTC)
            for name, start in ((BY_HOUR, hour), (BY_DAY, hour.replace(hour=0))):
                claims[name, npi, iso(start)] += count
                charges[name, npi, iso(start)] += ledger.by_provider_hour[npi, text]
        found: dict[str, dict[str, dict[str, Sums]]] = {BY_HOUR: {}, BY_DAY: {}}
        for window, count in sorted(claims.items()):
            found[window[0]].setdefault(window[1], {})[window[2]] = (count, charges[window])
        return cls(found)

    @property
    def providers(self) -> list[str]:
        """All providers."""
        return sorted(self.windows[BY_DAY])

    def rows(self, name: str, npi: str) -> list[dict[str, Any]]:
        """Return a provider's windows as answers have them, in order of time."""
        return [
            {
                "key": {"provider": npi},
                "start": start,
                "end": iso(datetime.fromisoformat(start) + SIZES[name]),
                "state": "open",
                "claims": claims,
                "charges": charges,
            }
            for start, (claims, charges) in self.windows[name][npi].items()
        ]

    def total(self, npi: str) -> Sums:
        """Return a provider's claims and charges of all time."""
        sums = self.windows[BY_DAY][npi].values()
        return sum(claims for claims, _ in sums), sum((charges for _, charges in sums), Decimal(0))


def iso(time: datetime) -> str:
    """Return a time as answers have it."""
    return time.isoformat().replace("+00:00", "Z")


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its claims and charges as numbers, and no other results."""
    values = row["values"]
    kept = {name: row[name] for name in ("key", "start", "end", "state")}
    return {**kept, "claims": values["claims"], "charges": Decimal(values["charges"])}


def settled(body: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what two answers to one question may differ in."""
    return {name: value for name, value in body.items() if name not in ("as_of", "watermark")}


@pytest.fixture(scope="module")
def expected() -> Expected:
    """What must come of the module's files; no other test has claims of their providers."""
    return Expected.of(count_and_sum(*(file.content for file in generate(CLAIMS, seed=SEED))))


@pytest.fixture(scope="module")
def both(fleet: Fleet) -> Iterator[list[Worker]]:
    """Two aggregators that share the partitions."""
    with fleet.another("aggregator") as second:
        yield [fleet.workers["aggregator"], second]


@pytest.fixture(autouse=True)
async def loaded(fleet: Fleet, both: list[Worker], expected: Expected) -> None:
    """The module's files have been published, once, and are aggregated."""
    if SEED not in fleet.published:
        fleet.published.add(SEED)
        mark = await Mark.of(fleet)
        files = (RawFile(f.system, f.name, f.content, good=True) for f in generate(CLAIMS, seed=SEED))
        assert len([file async for file in publish(fleet.settings, files)]) == CLAIMS // 100
        await mark.counted(events=CLAIMS, aggregated=CLAIMS)
        await until(lambda: all_whole(fleet, expected), LIMIT_S, "all in their windows")
        for worker in both:
            assert await running(worker), f"{worker.log.name} has no partition"


async def all_whole(fleet: Fleet, expected: Expected) -> bool:
    """Return whether the aggregations have every claim of the module's files in its window."""
    bodies = [await several(fleet, fleet.workers["aggregator"], name, expected) for name in SIZES]
    found = [[row for each in body["keys"] for row in each.get("rows", ())] for body in bodies]
    return all(sum(row["values"]["claims"] for row in rows) == CLAIMS for rows in found)


async def several(fleet: Fleet, worker: Worker, name: str, expected: Expected) -> Any:
    """Return the answer about all providers of the module's files in one question."""
    keys = [{"provider": npi} for npi in expected.providers]
    answer = await fleet.ask(worker, f"/v1/aggregates/{name}/keys", {"keys": keys})
    assert answer.status == 200
    return answer.body


async def alike(fleet: Fleet, both: list[Worker], path: str) -> Any:
    """Return the body that both workers answer with."""
    first, second = await asyncio.gather(*(fleet.ask(worker, f"/v1/aggregates/{path}") for worker in both))
    assert (first.status, second.status) == (200, 200)
    assert settled(first.body) == settled(second.body)
    return first.body


async def test_a_provider_is_answered_alike_by_both(
    fleet: Fleet, both: list[Worker], expected: Expected
) -> None:
    """Every provider, hour by hour and day by day, on either worker, as the files say."""
    assert len(expected.providers) > 6
    for name in SIZES:
        for npi in expected.providers:
            body = await alike(fleet, both, f"{name}/keys?provider={npi}")
            assert [flat(row) for row in body["rows"]] == expected.rows(name, npi)


async def test_several_are_answered_in_one_call(fleet: Fleet, both: list[Worker], expected: Expected) -> None:
    """Each with its rows, in the order of the question, from whichever workers hold them."""
    for worker in both:
        body = await several(fleet, worker, BY_DAY, expected)
        assert [each["key"]["provider"] for each in body["keys"]] == expected.providers
        for npi, each in zip(expected.providers, body["keys"], strict=True):
            assert [flat(row) for row in each["rows"]] == expected.rows(BY_DAY, npi)


async def test_a_range_narrows_the_windows(fleet: Fleet, both: list[Worker], expected: Expected) -> None:
    """``from`` (inclusive) and ``to`` (exclusive) pick windows by their start; ``latest`` the newest."""
    npi = max(expected.providers, key=lambda each: len(expected.rows(BY_HOUR, each)))
    rows = expected.rows(BY_HOUR, npi)
    query = f"from={rows[1]['start']}&to={rows[-1]['start']}"
    body = await alike(fleet, both, f"{BY_HOUR}/keys?provider={npi}&{query}")
    assert [flat(row) for row in body["rows"]] == rows[1:-1]
    body = await alike(fleet, both, f"{BY_HOUR}/keys?provider={npi}&latest=true")
    assert [flat(row) for row in body["rows"]] == rows[-1:]


async def test_a_window_is_answered_alike_by_both(
    fleet: Fleet, both: list[Worker], expected: Expected
) -> None:
    """All providers of one window, in pages or by charges, none twice, none missing."""
    for start in {start for each in expected.windows[BY_DAY].values() for start in each}:
        wanted = [
            row for npi in expected.providers for row in expected.rows(BY_DAY, npi) if row["start"] == start
        ]
        path = f"{BY_DAY}/windows/{quote(start)}"
        rows: list[dict[str, Any]] = []
        query: str | None = "?limit=5"
        while query:
            body = await alike(fleet, both, f"{path}{query}")
            rows += map(flat, body["rows"])
            query = body["next"] and f"?limit=5&cursor={body['next']}"
        own = [row for row in rows if row["key"]["provider"] in expected.providers]
        assert sorted(own, key=by_provider) == sorted(wanted, key=by_provider)
        top = await alike(fleet, both, f"{path}/top?by=charges&n=1000")
        assert [flat(row) for row in top["rows"]] == sorted(rows, key=by_charges)


def by_provider(row: dict[str, Any]) -> str:
    """Return what rows of one window are told apart by."""
    provider: str = row["key"]["provider"]
    return provider


def by_charges(row: dict[str, Any]) -> tuple[Decimal, str]:
    """Return what the rows of a window are ranked by."""
    return -row["charges"], by_provider(row)


async def test_top_is_answered_alike_by_both(fleet: Fleet, both: list[Worker], expected: Expected) -> None:
    """Each provider once, with its sums of all time; ``n`` cuts the same list."""
    path = f"{BY_PROVIDER}/windows/all/top?by=charges"
    rows = (await alike(fleet, both, f"{path}&n=1000"))["rows"]
    found = {by_provider(row): (flat(row)["claims"], flat(row)["charges"]) for row in rows}
    assert len(found) == len(rows)
    assert [by_charges(flat(row)) for row in rows] == sorted(by_charges(flat(row)) for row in rows)
    assert {npi: found.get(npi) for npi in expected.providers} == {
        npi: expected.total(npi) for npi in expected.providers
    }
    assert (await alike(fleet, both, f"{path}&n=3"))["rows"] == rows[:3]


async def test_how_it_stands_is_answered_alike_by_both(fleet: Fleet, both: list[Worker]) -> None:
    """The build that serves, nothing refused, every partition of the source heard."""
    body = await alike(fleet, both, BY_DAY)
    (build,) = body["builds"]
    assert (body["state"], body["serving"], build["build"]) == ("active", 1, 1)
    assert (build["refused"], build["unwritten"], build["over_quota"]) == (0, 0, False)
    assert build["sources"]["never_heard"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{BY_DAY}/keys?provider=0000000000", 404),
        (f"{BY_DAY}/keys?provider=%FF%00", 404),
        (f"{BY_DAY}/keys?provider.null=true", 404),
        (f"{BY_DAY}/keys", 400),
        (f"{BY_DAY}/keys?payer=1", 400),
        (f"{BY_DAY}/keys?provider=1&from=soon", 400),
        (f"{BY_DAY}/keys?provider=1&to=2026-13-01T00:00:00Z", 400),
        (f"{BY_DAY}/keys?provider=1&build=9", 404),
        (f"{BY_DAY}/windows/yesterday", 400),
        (f"{BY_DAY}/windows/1970-01-01T00:00:00Z", 404),
        (f"{BY_DAY}/windows/2026-01-05T13:00:00Z", 404),
        (f"{BY_DAY}/windows/all", 404),
        (f"{BY_PROVIDER}/windows/all/top", 400),
        (f"{BY_PROVIDER}/windows/all/top?by=members", 400),
        (f"{BY_PROVIDER}/windows/all/top?by=claims&n=-1", 400),
        (f"{BY_PROVIDER}/windows/all/top?by=claims&n=%C2%B2", 400),
        ("no-such-aggregation", 404),
    ],
)
async def test_a_wrong_question_is_told_so(path: str, status: int, fleet: Fleet, both: list[Worker]) -> None:
    """What is not there is a 404 and what makes no sense a 400 with a reason, on both, never a 500."""
    for worker in both:
        answer = await fleet.ask(worker, f"/v1/aggregates/{path}")
        assert answer.status == status
        assert answer.body["detail"]


async def test_a_killed_worker_is_never_answered_for_wrongly(
    fleet: Fleet, both: list[Worker], expected: Expected
) -> None:
    """Until its partitions are taken over: right, or 503 with Retry-After; from then on: right."""
    survivor, victim = both
    victim.kill()
    refused: list[Answer] = []

    async def all_right() -> bool:
        paths = [f"/v1/aggregates/{BY_DAY}/keys?provider={npi}" for npi in expected.providers]
        answers = [await fleet.ask(survivor, path) for path in paths]
        for npi, answer in zip(expected.providers, answers, strict=True):
            if answer.status == 200:
                assert [flat(row) for row in answer.body["rows"]] == expected.rows(BY_DAY, npi)
        bad = [answer for answer in answers if answer.status != 200]
        refused.extend(bad)
        return not bad

    await until(all_right, LIMIT_S, "right answers for every provider")
    assert refused
    for answer in refused:
        assert (answer.status, answer.headers.get("Retry-After")) == (503, "1")
    await fleet.holds_all(survivor)
