"""Queries over HTTP on workers that share the partitions of known rows, in memory and without Kafka."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from faust.types.tuples import TP
from yarl import URL

from agents.aggregator.domain.messages import Standing
from agents.aggregator.domain.plan import Plan
from agents.aggregator.domain.rows import TABLES, Heard
from agents.aggregator.domain.windowing import Window
from agents.aggregator.queries.handlers import AggregateHandlers
from agents.aggregator.queries.spread import Spread
from agents.aggregator.queries.targets import Targets
from api import ACTOR
from api.problems import problems
from fleet.lane import LaneApp
from fleet.lane.standby import Copy
from fleet.lane.stores import MemoryStore
from tests.support.api import ADMIN
from tests.support.queried import HOUR_MS, NAME, Key, Schemas, World, a_world

HOUR = "1970-01-01T01:00:00Z"
FIRST = Window(HOUR_MS, 2 * HOUR_MS)
PATH = f"/v1/aggregates/{NAME}"

KEYS: list[Key] = [(f"p{number}", number % 3 or None) for number in range(1_000)]


@web.middleware
async def _as_admin(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    request[ACTOR] = ADMIN
    return await handler(request)


class Worker:
    """One worker: a real app and a real web server; which partitions it has, the test says.

    Attributes:
        owned: Tables by partition that it owns.
        copies: Tables by partition that it is a standby of.
        asked: Headers of each request that came.
    """

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.owned: dict[int, dict[str, MemoryStore]] = {}
        self.copies: dict[tuple[str, int], Copy] = {}
        self.asked: list[Mapping[str, str]] = []
        self.app = LaneApp("queried")
        tables = [self.app.lane_table(name) for name in TABLES]
        self.app.lane_agent(name="second", sources=["partials"], tables=tables)(lambda *_: iter(()))
        host = self.app.lane.host
        monkeypatch.setattr(self.app.lane, "table_partitions", lambda _table: world.partitions)
        monkeypatch.setattr(host, "partition_state", lambda name, at: self.owned.get(at, {}).get(name))
        monkeypatch.setattr(host.standbys, "copy", lambda name, at: self.copies.get((name, at)))

        async def ready() -> None:
            """Definitions are known from the start."""

        compiled = world.compiled
        targets = Targets(ready, lambda: Plan({compiled.id: compiled}, 1), Schemas())
        api = web.Application(middlewares=[problems, _as_admin])
        AggregateHandlers(targets, Spread(self.app)).add_routes(api)
        outer = web.Application(middlewares=[self._seen])
        outer.add_subapp("/v1", api)
        self.server = TestServer(outer)

    @web.middleware
    async def _seen(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(dict(request.headers))
        response: web.StreamResponse = await handler(request)
        return response

    def stand_by(self, world: World, partition: int, *, lag: int | None, current: bool = True) -> None:
        """Keep a copy of a partition."""
        for name, store in world.stores[partition].items():
            self.copies[name, partition] = Copy(name, store, lag, 1_000 if current else None)


class Fleet:
    """Three workers, the first partition with the first of them and so on."""

    def __init__(self, world: World, workers: list[Worker]) -> None:
        self.world = world
        self.workers = workers
        for number, worker in enumerate(workers):
            worker.owned[number] = dict(world.stores[number])

    def tell(self) -> None:
        """Let all workers know who has what, as the group does."""
        urls = {
            ("partials", number): str(worker.server.make_url(""))
            for number, worker in enumerate(self.workers)
        }
        for worker in self.workers:
            router: Any = worker.app.lane_router
            worker.app.conf.canonical_url = URL(worker.server.make_url(""))
            router._assignor._external_tps_url = {TP(*at): url for at, url in urls.items()}

    async def ask(self, number: int, path: str, **options: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Return status, content and headers of one worker's answer."""
        method = "POST" if "json" in options else "GET"
        url = str(self.workers[number].server.make_url("")).rstrip("/") + PATH + path
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, URL(url, encoded=True), **options) as response,
        ):
            is_json = "json" in response.content_type
            content = await response.json(content_type=None) if is_json else await response.text()
            return response.status, content, response.headers

    def owned_by(self, number: int) -> Key:
        """Return a key of a worker's own partition."""
        return next(key for key in KEYS if self.world.partition_of(key) == number)


@pytest_asyncio.fixture
async def fleet(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    """Three workers that hold 1,000 keys in one hour, and some of them in another."""
    world = a_world()
    for number, key in enumerate(KEYS):
        world.put(key, FIRST, [f"{number}.25", "0.10"])
        if number % 10 == 0:
            world.put(key, Window(2 * HOUR_MS, 3 * HOUR_MS), ["1.00"])
    world.move(2 * HOUR_MS, over_quota=False, keys=3)
    async with AsyncExitStack() as stack:
        workers = [Worker(world, monkeypatch) for _ in range(3)]
        for worker in workers:
            await stack.enter_async_context(worker.server)
            stack.push_async_callback(worker.app.http_client.close)
        made = Fleet(world, workers)
        made.tell()
        yield made


def of(key: Key) -> str:
    """Return a key as parameters."""
    plan = "plan.null=true" if key[1] is None else f"plan={key[1]}"
    return f"provider={key[0]}&{plan}"


def plain(rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return the two plain results of some rows."""
    return [{name: row["values"][name] for name in ("claims", "total")} for row in rows]


async def test_any_worker_answers_every_key(fleet: Fleet) -> None:
    """1,000 keys through each of three workers, in one call and one by one: all as they are."""
    body = {"keys": [{"provider": key[0], "plan": key[1]} for key in KEYS], "to": 2 * HOUR_MS}
    for number in range(3):
        status, found, _ = await fleet.ask(number, "/keys", json=body)
        assert status == 200
        answered = {
            (each["key"]["provider"], each["key"]["plan"]): plain(each["rows"]) for each in found["keys"]
        }
        assert answered == {key: [fleet.world.known[key, FIRST]] for key in KEYS}
        for key in KEYS[:20]:
            status, found, _ = await fleet.ask(number, f"/keys?{of(key)}&latest=true")
            newest = max(window for each, window in fleet.world.known if each == key)
            assert (status, plain(found["rows"])) == (200, [fleet.world.known[key, newest]])


async def test_an_answer_says_what_it_is_of(fleet: Fleet) -> None:
    """Build, watermark, when its rows were last known to be all, and whether each window has closed."""
    _, found, headers = await fleet.ask(0, f"/keys?{of(KEYS[0])}")
    assert (found["aggregation"], found["build"], found["watermark"]) == (NAME, 3, "1970-01-01T02:00:00Z")
    assert (found["as_of"] is None, found["standbys"], found["next"]) == (False, [], None)
    assert [(row["start"], row["end"], row["state"]) for row in found["rows"]] == [
        (HOUR, "1970-01-01T02:00:00Z", "closed"),
        ("1970-01-01T02:00:00Z", "1970-01-01T03:00:00Z", "open"),
    ]
    assert headers["Cache-Control"] == "no-store"


async def test_a_window_is_paged_and_ranked_over_all_workers(fleet: Fleet) -> None:
    """Every key once, whichever worker gives which page; and the first of all by an exact decimal."""
    found: list[Any] = []
    cursor, number = "", 0
    while cursor is not None:
        _, page, _ = await fleet.ask(
            number % 3, f"/windows/{HOUR}?limit=300" + (cursor and f"&cursor={cursor}")
        )
        found += page["rows"]
        cursor, number = page["next"], number + 1
    keys = [(row["key"]["provider"], row["key"]["plan"]) for row in found]
    assert (number, len(keys), set(keys)) == (4, 1_000, set(KEYS))
    for worker in range(3):
        _, top, _ = await fleet.ask(worker, f"/windows/{HOUR}/top?by=total&n=2")
        assert [row["key"]["provider"] for row in top["rows"]] == ["p999", "p998"]
        assert top["window"]["state"] == "closed"
        _, windows, _ = await fleet.ask(worker, "/windows")
        assert [each["start"] for each in windows["windows"]] == [HOUR, "1970-01-01T02:00:00Z"]


async def test_csv_has_the_same_rows(fleet: Fleet) -> None:
    """With the next page in a header, and in a link."""
    _, text, headers = await fleet.ask(1, f"/windows/{HOUR}?limit=5", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["window_start"], row["final"], row["claims"], row["build"]) for row in rows] == [
        (HOUR, "true", "2", "3")
    ] * 5
    assert headers["X-Fleet-Next"] in headers["Link"]
    status, _, _ = await fleet.ask(1, f"/windows/{HOUR}", headers={"Accept": "text/html"})
    assert status == 406


async def test_a_request_goes_on_as_it_came(fleet: Fleet) -> None:
    """The owner is asked once, with the caller's identity and the build, and asks nobody else."""
    key = fleet.owned_by(2)
    await fleet.ask(0, f"/keys?{of(key)}", headers={"Authorization": "Bearer caller"})
    (asked,) = fleet.workers[2].asked
    names = ("Authorization", "X-Fleet-Hops", "X-Fleet-Partitions", "X-Fleet-Build")
    assert [asked[name] for name in names] == ["Bearer caller", "1", "2", "3"]
    assert fleet.workers[1].asked == []


async def test_a_standby_answers_for_an_owner_that_is_gone(fleet: Fleet) -> None:
    """Told as such, from this worker's copy or another's; without a copy that was whole it is a 503."""
    key = fleet.owned_by(2)
    await fleet.workers[2].server.close()
    status, problem, headers = await fleet.ask(0, f"/keys?{of(key)}")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "2" in problem["detail"]
    fleet.workers[1].stand_by(fleet.world, 2, lag=None, current=False)
    assert (await fleet.ask(0, f"/keys?{of(key)}"))[0] == 503
    fleet.workers[1].stand_by(fleet.world, 2, lag=4)
    for number in (0, 1):
        status, found, _ = await fleet.ask(number, f"/keys?{of(key)}&to={2 * HOUR_MS}")
        assert (status, plain(found["rows"])) == (200, [fleet.world.known[key, FIRST]])
        assert found["standbys"] == [{"partition": 2, "lag": 12, "as_of": "1970-01-01T00:00:01Z"}]
        assert (await fleet.ask(number, f"/windows/{HOUR}?limit=1000"))[0] == 200
    missing = next(f"x{n}" for n in range(99) if fleet.world.partition_of((f"x{n}", 1)) == 2)
    assert (await fleet.ask(0, f"/keys?{of((missing, 1))}"))[0] == 503
    fleet.workers[1].stand_by(fleet.world, 2, lag=0)
    assert (await fleet.ask(0, f"/keys?{of((missing, 1))}"))[0] == 404


async def test_status_is_of_all_partitions(fleet: Fleet) -> None:
    """Sums of what each has; the least watermark; a source that one has not heard of is named."""
    fleet.world.move(3 * HOUR_MS, [1], keys=5, late=2, over_quota=True)
    for number in range(3):
        status, found, _ = await fleet.ask(number, "")
        (build,) = found["builds"]
        assert (status, found["serving"], build["keys"], build["late"]) == (200, 3, 11, 2)
        assert (build["watermark"], build["over_quota"]) == ("1970-01-01T02:00:00Z", True)
        assert "max_keys" in build["what_to_do"]
        assert build["sources"]["never_heard"] == ["canonical.claim/*"]


async def test_late_and_refused_events_of_sources_count_once(fleet: Fleet) -> None:
    """Each source tells all partitions of its own, and some have not heard the last of it."""
    own, other = Heard(9, Standing.LIVE, 5, 1), Heard(9, Standing.DONE, 40, 0)
    known = {"canonical.claim/0": own, "canonical.claim/0#history": other}
    fleet.world.move(9, [0], sources=known, late=2, refused=7)
    before = {**known, "canonical.claim/0": own._replace(late=4, refused=0)}
    fleet.world.move(9, [1], sources=before)
    for number in range(3):
        (build,) = (await fleet.ask(number, ""))[1]["builds"]
        assert (build["late"], build["refused"]) == (5 + 40 + 2, 1 + 7)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/keys?provider=nobody&plan=1", 404, "provider=nobody, plan=1"),
        ("/keys?provider=p1", 400, "plan"),
        ("/keys?provider=p1&plan=one", 400, "plan"),
        ("/keys?provider=p1&plan=1&more=1", 400, "more"),
        ("/keys?provider=p1&plan=1&from=soon", 400, "from"),
        ("/keys?provider=p1&plan=1&limit=0", 400, "limit"),
        ("/keys?provider=p1&plan=1&cursor=x", 400, "cursor"),
        ("/keys?provider=p1&plan=1&build=9", 404, "no build 9"),
        ("/windows/soon", 400, "start"),
        ("/windows/all", 404, "windows"),
        ("/windows/1970-01-01T05:00:00Z", 404, "1970-01-01T05:00:00Z"),
        ("/windows/1970-01-01T01:00:01Z", 404, "no window begins"),
        (f"/windows/{HOUR}/top", 400, "by"),
        (f"/windows/{HOUR}/top?by=seen", 400, "by"),
        (f"/windows/{HOUR}/top?by=total&n=x", 400, "n must"),
        (f"/windows/{HOUR}/top?by=total&order=up", 400, "order"),
    ],
)
async def test_a_wrong_question_is_told_so(fleet: Fleet, path: str, status: int, said: str) -> None:
    """Problem details that name what was asked for, on every worker."""
    for number in range(3):
        found, content, headers = await fleet.ask(number, path)
        assert (found, headers["Content-Type"]) == (status, "application/problem+json")
        assert said in content["detail"]


@pytest.mark.parametrize(
    "body",
    [{}, {"keys": []}, {"keys": [{}]}, {"keys": [{"provider": "a", "plan": 1}], "more": 1}, {"keys": {}}]
    + [{"keys": [{"provider": "a", "plan": 1}], "limit": each} for each in (0, "1", True, 1_001)],
)
async def test_a_wrong_body_is_told_so(fleet: Fleet, body: Any) -> None:
    """Never half an answer."""
    assert (await fleet.ask(0, "/keys", json=body))[0] == 400


async def test_headers_between_workers_are_checked(fleet: Fleet) -> None:
    """A worker that is asked by another answers for what it holds, and for nothing else."""
    assert (await fleet.ask(0, "/windows", headers={"X-Fleet-Hops": "1"}))[0] == 400
    named = {"X-Fleet-Hops": "1", "X-Fleet-Partitions": "0,1"}
    status, found, _ = await fleet.ask(0, "/windows", headers=named)
    assert (status, list(found["parts"])) == (200, ["0"])
