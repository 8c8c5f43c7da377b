"""Queries on two aggregators: the same right answer from either, or a 503, never a wrong one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from agents.normalizer.ledger import Ledger, count_and_sum
from agents.normalizer.samples import generate
from fleet.cli.run.publish import RawFile, publish
from tests.support.agents_fleet import Fleet
from tests.support.agents_mark import Mark
from tests.support.agents_views import Answer, ask, running
from tests.support.lane_processes import Worker
from tests.support.polling import until

CLAIMS = 600
SEED = 424_242
LIMIT_S = 60.0
SIZES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

Window = tuple[str, str]


@dataclass(frozen=True)
class Expected:
    """What must be answered, summed from the files without the platform.

    Attributes:
        claims: Claims by provider and window (kind, start).
        charges: Charges by provider and window.
    """

    claims: dict[str, Counter[Window]]
    charges: dict[str, dict[Window, Decimal]]

    @classmethod
    def of(cls, ledger: Ledger) -> Expected:
        """Sum a ledger's hours up to windows."""
        claims: dict[str, Counter[Window]] = defaultdict(Counter)
        charges: dict[str, dict[Window, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for (npi, text), count in ledger.claims_by_provider_hour.items():
            hour = datetime.strptime(text, "%Y%m%d%H").replace(tzinfo=UTC)
            for window in (("hour", iso(hour)), ("day", iso(hour.replace(hour=0)))):
                claims[npi][window] += count
                charges[npi][window] += ledger.by_provider_hour[npi, text]
        return cls(dict(claims), dict(charges))

    def rows(self, npi: str, kind: str) -> list[dict[str, Any]]:
        """Return a provider's windows of one kind as a view shows them, in order of time."""
        return [
            {
                "provider": npi,
                "kind": kind,
                "start": start,
                "end": iso(datetime.fromisoformat(start) + SIZES[kind]),
                "claims": count,
                "charges": self.charges[npi][kind, start],
                "final": False,
                "late_claims": 0,
            }
            for (each, start), count in sorted(self.claims[npi].items())
            if each == kind
        ]

    def total(self, npi: str, kind: str) -> tuple[int, Decimal]:
        """Return a provider's claims and charges over all windows of one kind."""
        rows = self.rows(npi, kind)
        return sum(row["claims"] for row in rows), sum((row["charges"] for row in rows), Decimal(0))


def iso(time: datetime) -> str:
    """Return a time as views write it."""
    return time.isoformat().replace("+00:00", "Z")


def exact(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with their charges as numbers."""
    return [{**row, "charges": Decimal(row["charges"])} for row in rows]


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
async def loaded(fleet: Fleet, both: list[Worker]) -> None:
    """The module's files have been published, once, and are aggregated."""
    if SEED not in fleet.published:
        fleet.published.add(SEED)
        mark = await Mark.of(fleet)
        files = (RawFile(f.system, f.name, f.content, good=True) for f in generate(CLAIMS, seed=SEED))
        assert len([file async for file in publish(fleet.settings, files)]) == CLAIMS // 100
        await mark.counted(events=CLAIMS, aggregated=CLAIMS)
        for worker in both:
            assert await running(worker), f"{worker.log.name} has no partition"


async def test_a_provider_is_answered_alike_by_both(both: list[Worker], expected: Expected) -> None:
    """Every provider, hour by hour and day by day, on either worker, as the files say."""
    assert len(expected.claims) > 6
    for npi in expected.claims:
        wanted = expected.rows(npi, "hour") + expected.rows(npi, "day")
        for worker in both:
            answer = await ask(worker, f"/providers/{npi}")
            assert answer.status == 200
            assert answer.body["provider"] == npi
            assert exact(answer.body["windows"]) == wanted


async def test_a_range_narrows_the_windows(both: list[Worker], expected: Expected) -> None:
    """``kind``, ``from`` (inclusive) and ``to`` (exclusive) pick windows by their start."""
    npi = max(expected.claims, key=lambda each: len(expected.rows(each, "hour")))
    wanted = expected.rows(npi, "hour")[1:-1]
    begin, end = wanted[0]["start"], expected.rows(npi, "hour")[-1]["start"]
    for worker in both:
        answer = await ask(worker, f"/providers/{npi}?kind=hour&from={begin}&to={end}")
        assert exact(answer.body["windows"]) == wanted


async def test_a_window_is_answered_alike_by_both(both: list[Worker], expected: Expected) -> None:
    """All providers of one window in one answer, most charges first, none twice, none missing."""
    for kind, start in {window for each in expected.claims.values() for window in each}:
        answers = [await ask(worker, f"/windows/{kind}/{start}") for worker in both]
        assert [answer.status for answer in answers] == [200, 200]
        assert answers[0].body == answers[1].body
        rows = exact(answers[0].body["rows"])
        wanted = [row for npi in expected.claims for row in expected.rows(npi, kind) if row["start"] == start]
        assert [row for row in rows if row["provider"] in expected.claims] == by_charges(wanted)
        assert rows == by_charges(rows)


def by_charges(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Order rows as the views do."""
    return sorted(rows, key=lambda row: (-row["charges"], row["provider"]))


async def test_top_is_answered_alike_by_both(both: list[Worker], expected: Expected) -> None:
    """Each provider once, with its sums over all windows; ``n`` cuts the same list."""
    for kind in SIZES:
        answers = [(await ask(worker, f"/top?kind={kind}&n=10000")).body for worker in both]
        assert answers[0] == answers[1]
        rows = exact(answers[0]["rows"])
        assert rows == by_charges(rows)
        found = {row["provider"]: (row["claims"], row["charges"]) for row in rows}
        assert len(found) == len(rows)
        assert {npi: found.get(npi) for npi in expected.claims} == {
            npi: expected.total(npi, kind) for npi in expected.claims
        }
        for worker in both:
            assert exact((await ask(worker, f"/top?kind={kind}&n=3")).body["rows"]) == rows[:3]


async def test_totals_are_the_sum_of_all_providers(both: list[Worker]) -> None:
    """Claims and charges over everything, on both, as all providers' rows add up to."""
    answers = [(await ask(worker, "/totals")).body for worker in both]
    assert answers[0] == answers[1]
    assert answers[0]["watermarks"]
    for kind in SIZES:
        rows = exact((await ask(both[0], f"/top?kind={kind}&n=10000")).body["rows"])
        total = answers[0]["kinds"][kind]
        assert total["claims"] == sum(row["claims"] for row in rows)
        assert Decimal(total["charges"]) == sum(row["charges"] for row in rows)


async def test_a_row_is_found_through_either_table_view(both: list[Worker], expected: Expected) -> None:
    """Faust's own view gives the stored row wherever it is asked."""
    npi = next(iter(expected.claims))
    row = expected.rows(npi, "day")[0]
    start_ms = int(datetime.fromisoformat(row["start"]).timestamp() * 1000)
    for worker in both:
        answer = await ask(worker, f"/table/windows/{npi}%7Cday%7C{start_ms:014d}/")
        assert answer.status == 200
        assert (answer.body["claims"], Decimal(answer.body["charges"])) == (row["claims"], row["charges"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/providers/0000000000", 404),
        ("/providers/%FF%00", 404),
        ("/providers/a%7Cb%7Cc", 404),
        ("/providers/1?kind=week", 400),
        ("/providers/1?from=soon", 400),
        ("/providers/1?to=2026-13-01", 400),
        ("/providers/1?from=9999-12-31T23:59:59-23:59", 404),
        ("/providers/1?from=0001-01-01T00:00:00%2B23:59", 404),
        ("/windows/week/2026-01-05", 400),
        ("/windows/day/yesterday", 400),
        ("/windows/day/2026-01-05?n=many", 400),
        ("/windows/day/1970-01-01", 200),
        ("/top?kind=week", 400),
        ("/top?n=-1", 400),
        ("/top?n=%C2%B2", 400),
        ("/top?n=99999999999999999999", 200),
        ("/table/nosuch/1/", 404),
        ("/table/windows/1%7Cday%7C1/", 404),
        ("/table/windows/no-such-key/", 404),
        ("/table/open-windows/no-such-key/", 404),
        ("/table/progress/no-such-key/", 404),
        ("/table/progress/99/", 404),
    ],
)
async def test_a_wrong_question_is_told_so(path: str, status: int, both: list[Worker]) -> None:
    """What is not there is a 404 and what makes no sense a 400 with a reason, on both, never a 500."""
    for worker in both:
        answer = await ask(worker, path)
        assert answer.status == status
        assert status == 200 or answer.body["error"]


@pytest.mark.parametrize("headers", [{"X_Fleet_Hops": "many"}, {"X_Fleet_Hops": "1"}])
async def test_headers_between_workers_are_checked(headers: dict[str, str], both: list[Worker]) -> None:
    """A hop that is no number, or one that does not say which partitions it asks for, is a 400."""
    for worker in both:
        assert (await ask(worker, "/totals", **headers)).status == 400


async def test_a_part_is_of_the_partitions_asked_for(both: list[Worker]) -> None:
    """A worker answers another for exactly those partitions, and 503 where it does not hold one of them."""
    held = [await running(worker) for worker in both]
    for worker, own, foreign in zip(both, held, reversed(held), strict=True):
        one = await ask(worker, "/totals", X_Fleet_Hops="1", X_Fleet_Partitions=str(own[0]))
        assert set(one.body["watermarks"]) <= {str(own[0])}
        listed = ",".join(map(str, [*own, foreign[0]]))
        answer = await ask(worker, "/totals", X_Fleet_Hops="1", X_Fleet_Partitions=listed)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_killed_worker_is_never_answered_for_wrongly(
    fleet: Fleet, both: list[Worker], expected: Expected
) -> None:
    """Until its partitions are taken over: right, or 503 with Retry-After; from then on: right."""
    survivor, victim = both
    totals = (await ask(survivor, "/totals")).body
    victim.kill()
    refused: list[Answer] = []

    async def all_right() -> bool:
        answers = [await ask(survivor, f"/providers/{npi}") for npi in expected.claims]
        for npi, answer in zip(expected.claims, answers, strict=True):
            if answer.status == 200:
                assert exact(answer.body["windows"]) == expected.rows(npi, "hour") + expected.rows(npi, "day")
        whole = await ask(survivor, "/totals")
        assert whole.status == 503 or whole.body == totals
        bad = [answer for answer in (*answers, whole) if answer.status != 200]
        refused.extend(bad)
        return not bad

    await until(all_right, LIMIT_S, "right answers for every provider")
    assert refused
    for answer in refused:
        assert (answer.status, answer.headers.get("Retry-After")) == (503, "1")
    await fleet.holds_all(survivor)
