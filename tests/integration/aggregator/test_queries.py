"""Queries on three aggregators with standbys: each is right about every key, also when one is killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import pytest
from fastavro import parse_schema, schemaless_reader

from agents.aggregator.domain.groups import group_key
from agents.aggregator.domain.rows import BUILDS, INDEX, ROWS, TABLES, Row, build_key, index_key, row_key
from agents.aggregator.domain.windowing import ALL_TIME
from fleet.settings import Settings
from schemas.catalogue import load_catalogue
from schemas.codec import HEADER_BYTES
from stack.embedded import EmbeddedStack
from tests.support.agents_fleet import apply_topics
from tests.support.aggregate_changes import Stream
from tests.support.api import an_aggregation, open_api
from tests.support.lane_processes import Worker
from tests.support.polling import until
from tests.support.router_claims import PARTITIONS, SUBJECT, publish_claims
from tests.support.stack import ROOT, environment, free_ports, isolated_settings, parts_dir

KEYS = 1_000
NAME = "by-claim"
BUILD = f"{NAME}~1"
BY_CLAIM = an_aggregation(
    NAME, group_by={"claim": "event.claim_id"}, windows={"kind": "none"}, start="earliest", output={}
)
BY_PAYER = an_aggregation(
    "by-payer", windows={"kind": "none"}, start="earliest", output={"topic": "finance.by-payer"}
)
FIRST = ",".join(f"{partition}:0" for partition in range(PARTITIONS))
"""The place before all changes."""
LIMIT_S = 120.0
ASK_LIMIT_S = 40.0


class Claim(NamedTuple):
    """What of a claim is aggregated."""

    id: str
    payer: str
    charge: Decimal


@pytest.fixture(scope="module")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack of this module's own; each state has a copy."""
    own = isolated_settings(tmp_path_factory.mktemp("queries-stack"))
    own = own.model_copy(update={"session_timeout_s": 6.0, "standbys": 1})
    with EmbeddedStack(own, parts_dir=parts_dir()):
        asyncio.run(apply_topics(own))
        yield own


@pytest.fixture(scope="module")
def ports() -> list[int]:
    """Ports of the workers; the gateway sends on to the first."""
    return free_ports(3)


@pytest.fixture(scope="module")
def settings(stack_settings: Settings, ports: list[int]) -> Settings:
    """Settings of the gateway."""
    return stack_settings.model_copy(update={"aggregator_port": ports[0]})


@pytest.fixture(scope="module")
def workers(
    settings: Settings, ports: list[int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Worker]]:
    """Three aggregators that are ready."""
    folder = tmp_path_factory.mktemp("aggregators")
    started = [_started(settings, folder, port) for port in ports]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()


def _started(settings: Settings, folder: Path, port: int) -> Worker:
    own = settings.model_copy(update={"aggregator_port": port, "data_dir": folder / str(port)})
    log = folder / f"aggregator-{port}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "agents.aggregator", "worker"],
            cwd=ROOT,
            env=environment(own) | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Worker(port, log, process)


async def several(port: int, token: str, keys: list[str]) -> tuple[int, Any]:
    """Return status and content of an answer about all keys; status 0 where nobody answers."""
    url = f"http://127.0.0.1:{port}/v1/aggregates/{NAME}/keys"
    body = {"keys": [{"claim": key} for key in keys]}
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=ASK_LIMIT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.post(url, json=body) as response,
        ):
            return response.status, await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError):
        return 0, None


def totals(content: Any) -> dict[str, Decimal | None]:
    """Return the total of each key, None for one that is missing."""
    return {
        each["key"]["claim"]: None if each.get("missing") else Decimal(each["rows"][0]["values"]["total"])
        for each in content["keys"]
    }


@pytest.fixture(scope="module")
def claims(settings: Settings, workers: list[Worker]) -> list[Claim]:
    """Claims that are aggregated, each alone and by payer."""
    schema: Any = parse_schema(load_catalogue().subjects()[SUBJECT])

    async def prepared() -> list[Claim]:
        published = await publish_claims(settings, KEYS)
        async with open_api(settings) as api:
            for made in (BY_CLAIM, BY_PAYER):
                created = await api.ask("POST", "/aggregations", made)
                assert created.status == 201, created.body
        await asyncio.gather(*(worker.ready() for worker in workers))
        return [_claim(schema, each.value) for each in published.claims]

    found = asyncio.run(prepared())
    assert len({each.id for each in found}) == KEYS
    return found


def _claim(schema: Any, value: bytes) -> Claim:
    event: Any = schemaless_reader(BytesIO(value[HEADER_BYTES:]), schema, None)
    return Claim(event["claim_id"], event["payer"]["id"], event["total_charge"])


@pytest.fixture
def wanted(claims: list[Claim]) -> dict[str, Decimal]:
    """The charge of each claim."""
    return {each.id: each.charge for each in claims}


async def test_any_worker_is_right_about_every_key(
    settings: Settings, workers: list[Worker], wanted: dict[str, Decimal]
) -> None:
    """1,000 of them through each worker and the gateway; also which are the greatest, and which is none."""
    keys = sorted(wanted)
    async with open_api(settings) as api:

        async def right(port: int) -> bool:
            status, content = await several(port, api.token, keys)
            return status == 200 and totals(content) == wanted

        for worker in workers:
            await until(lambda port=worker.port: right(port), LIMIT_S, f"all keys through {worker.port}")  # type: ignore[misc]
        missing = await api.ask("GET", f"/aggregates/{NAME}/keys?claim=nobody")
        assert (missing.status, "claim=nobody" in missing.body["detail"]) == (404, True)
        passed_on = await api.ask(
            "POST", f"/aggregates/{NAME}/keys", {"keys": [{"claim": each} for each in keys]}
        )
        assert (passed_on.status, totals(passed_on.body)) == (200, wanted)
        top = await api.ask("GET", f"/aggregates/{NAME}/windows/all/top?by=total&n=3")
        best = [Decimal(row["values"]["total"]) for row in top.body["rows"]]
        assert best == sorted(wanted.values(), reverse=True)[:3]


async def test_the_table_view_of_faust_gives_a_row_wherever_it_is_asked(
    workers: list[Worker], wanted: dict[str, Decimal]
) -> None:
    """As it is stored, by whichever worker holds it, and 404 for what no row has."""
    for claim in sorted(wanted)[:20]:
        path = _row_path(ROWS, row_key(BUILD, group_key([claim]), ALL_TIME))
        answers = await until(lambda path=path: _found_by_all(workers, path), LIMIT_S, path)  # type: ignore[misc]
        rows = [Row.of(row) for _, row in answers]
        assert rows == [rows[0]] * len(workers)
        assert rows[0].events == 1
        assert [Decimal(each) for each in rows[0].states] == [wanted[claim]]
        index = _row_path(INDEX, index_key(BUILD, ALL_TIME, group_key([claim])))
        assert [await worker.ask(index) for worker in workers] == [(200, 1)] * len(workers)
    for path in (
        _row_path(ROWS, row_key(BUILD, group_key(["nobody"]), ALL_TIME)),
        _row_path(ROWS, row_key(f"{NAME}~2", group_key([min(wanted)]), ALL_TIME)),
        *(_row_path(table, "no such key") for table in TABLES),
        _row_path(BUILDS, build_key(99, BUILD)),
    ):
        assert [(await worker.ask(path))[0] for worker in workers] == [404] * len(workers), path


async def test_changes_are_streamed_through_the_gateway(settings: Settings, claims: list[Claim]) -> None:
    """From the first on: the last one of each payer is the sum of all its claims."""
    payers: dict[str, Decimal] = {}
    for each in claims:
        payers[each.payer] = payers.get(each.payer, Decimal(0)) + each.charge
    seen: dict[str, Decimal] = {}
    async with open_api(settings) as api:
        headers = {"Authorization": f"Bearer {api.token}", "Last-Event-ID": FIRST}
        async with api.client.get("/v1/aggregates/by-payer/changes", headers=headers) as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            stream = Stream(response)
            while seen != payers:
                event = await stream.next()
                assert event is not None, (seen, payers)
                if event.name == "change":
                    seen[event.data["key"]["payer"]] = Decimal(event.data["values"]["total"])


async def test_a_killed_worker_makes_no_answer_wrong(
    settings: Settings, workers: list[Worker], wanted: dict[str, Decimal]
) -> None:
    """Answers are right or 503, then right again."""
    async with open_api(settings) as api:
        statuses: set[tuple[int, bool]] = set()
        workers[2].kill()

        async def settled() -> bool:
            done = True
            for worker in workers[:2]:
                status, content = await several(worker.port, api.token, sorted(wanted))
                assert status in (200, 503)
                assert status == 503 or totals(content) == wanted
                by_standby = status == 200 and bool(content["standbys"])
                statuses.add((status, by_standby))
                done = done and status == 200 and not by_standby
            return done

        await until(settled, LIMIT_S, "right answers of owners for every key")
        assert statuses - {(200, False)}, "the kill was never noticed"


async def _found_by_all(workers: list[Worker], path: str) -> list[tuple[int, Any]]:
    """Return what each worker answers, once all have found a row."""
    answers = [await worker.ask(path) for worker in workers]
    return answers if all(status == 200 for status, _ in answers) else []


def _row_path(table: str, key: str) -> str:
    return f"/table/{table}/{quote(key, safe='')}/"
