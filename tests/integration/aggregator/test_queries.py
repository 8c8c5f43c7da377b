"""Queries on three aggregators with standbys: each is right about every key, also when one is killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fastavro import parse_schema, schemaless_reader

from fleet.settings import Settings
from schemas.catalogue import load_catalogue
from schemas.codec import HEADER_BYTES
from stack.embedded import EmbeddedStack
from tests.support.agents_fleet import apply_topics
from tests.support.api import an_aggregation, open_api
from tests.support.lane_processes import Worker
from tests.support.polling import until
from tests.support.router_claims import SUBJECT, publish_claims
from tests.support.stack import ROOT, environment, free_ports, isolated_settings, parts_dir

KEYS = 1_000
NAME = "by-claim"
LIMIT_S = 120.0
ASK_LIMIT_S = 40.0


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


async def test_any_worker_is_right_about_every_key_and_a_killed_one_makes_none_wrong(
    settings: Settings, workers: list[Worker]
) -> None:
    """1,000 keys through each worker and the gateway; after a kill right or 503, then right again."""
    schema: Any = parse_schema(load_catalogue().subjects()[SUBJECT])
    published = await publish_claims(settings, KEYS)
    wanted = {}
    for claim in published.claims:
        event: Any = schemaless_reader(BytesIO(claim.value[HEADER_BYTES:]), schema, None)
        wanted[event["claim_id"]] = event["total_charge"]
    assert len(wanted) == KEYS
    keys = sorted(wanted)
    async with open_api(settings) as api:
        made = an_aggregation(
            NAME, group_by={"claim": "event.claim_id"}, windows={"kind": "none"}, start="earliest"
        )
        created = await api.ask("POST", "/aggregations", {**made, "output": {}})
        assert created.status == 201, created.body
        await asyncio.gather(*(worker.ready() for worker in workers))

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

        statuses: set[tuple[int, bool]] = set()
        workers[2].kill()

        async def settled() -> bool:
            done = True
            for worker in workers[:2]:
                status, content = await several(worker.port, api.token, keys)
                assert status in (200, 503)
                assert status == 503 or totals(content) == wanted
                by_standby = status == 200 and bool(content["standbys"])
                statuses.add((status, by_standby))
                done = done and status == 200 and not by_standby
            return done

        await until(settled, LIMIT_S, "right answers of owners for every key")
        assert statuses - {(200, False)}, "the kill was never noticed"
