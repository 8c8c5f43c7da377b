"""Rules change over HTTP while routers run: by the gateway, and by the web server of a worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.support.agents_claims import a_claim
from tests.support.agents_fleet import CANONICAL, SUBJECT, Fleet
from tests.support.agents_rules import seen, standing
from tests.support.agents_views import ask
from tests.support.api import open_api
from tests.support.lane_processes import Worker
from tests.support.polling import until

LIVE_LIMIT_S = 60.0


async def live(routers: list[Worker], name: str, version: int) -> list[Any]:
    """Wait until both routers have this version of a rule."""

    async def have() -> list[Any]:
        found = await seen(routers, name)
        return found if [each["version"] for each in found] == [version] * 2 else []

    return await until(have, LIVE_LIMIT_S, f"{name}@{version} on both workers", every_s=0.01)


async def test_a_rule_by_the_api_is_live_on_all_workers(
    fleet: Fleet, routers: list[Worker], unique: Callable[[str], str]
) -> None:
    """Created by the gateway and changed by a worker, both workers have it, with no restart or rebalance."""
    name = unique("http")
    before = await standing(fleet, routers)
    rule = {"name": name, "owner": "team", "source": CANONICAL, "targets": ["team.http"], "state": "active"}
    async with open_api(fleet.settings) as api:
        asked_at = time.time()
        made = await api.ask("POST", "/routes", {**rule, "condition": "event.total_charge == 1.25"})
        answered_at = time.time()
        assert made.status == 201
        active = await live(routers, name, 1)
        delays = " and ".join(f"{each['active_since'] - asked_at:.3f} s" for each in active)
        print(f"answered after {answered_at - asked_at:.3f} s, active after {delays}")  # noqa: T201 - for people
        changed = await by_worker(routers[0], api.token, {**made.body, "description": "changed"})
        assert changed["version"] == 2
        await live(routers, name, 2)
        deleted = await api.ask("DELETE", f"/routes/{name}", headers={"If-Match": '"2"'})
        assert deleted.body["state"] == "deleted"
    assert await standing(fleet, routers) == before


async def by_worker(worker: Worker, token: str, rule: dict[str, Any]) -> dict[str, Any]:
    """Change a rule by the web server of a router."""
    url = f"http://127.0.0.1:{worker.port}/v1/routes/{rule['name']}"
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.put(url, json=rule) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["ETag"] == '"2"'
        changed: dict[str, Any] = await answer.json()
        return changed


async def test_a_worker_keeps_its_own_views(fleet: Fleet, routers: list[Worker]) -> None:
    """Faust's views and the lane's answer as before; the API beside them lets nobody in without a key."""
    del fleet
    for path in ("/routes", "/lane", "/table/", "/health/ready"):
        assert (await ask(routers[0], path)).status == 200
    refused = await ask(routers[0], "/v1/routes")
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    assert (await ask(routers[0], "/v1/nothing")).status == 401
    assert (await ask(routers[0], "/nothing")).status == 404


async def test_counts_and_active_rules_are_told_by_gateway_and_workers_alike(
    fleet: Fleet, routers: list[Worker], unique: Callable[[str], str]
) -> None:
    """With a key, by either worker or through the gateway: one answer for all partitions."""
    name, target = unique("counted"), unique("team.counted")
    await fleet.cluster.create({target: 2})
    rule = {"name": name, "owner": "team", "source": CANONICAL, "targets": [target], "state": "active"}
    rule["condition"] = f'attributes.batch == "{name}"'
    gateway = fleet.settings.model_copy(update={"router_port": routers[0].port})
    async with open_api(gateway) as api, fleet.codec() as codec:
        await api.ask("POST", "/routes", rule)
        await live(routers, name, 1)
        value = codec.encode(SUBJECT, a_claim(charge="2.00"))
        headers = [("ce_type", CANONICAL.encode()), ("ce_batch", name.encode())]
        for partition in range(6):
            await fleet.send(CANONICAL, b"npi", value, headers, partition=partition)
            await fleet.send(CANONICAL, b"npi", value, [headers[0], ("ce_batch", b"-")], partition=partition)
        label = f"{name}@1"

        async def counted() -> dict[str, Any]:
            answer = await api.ask("GET", f"/rule-counts?rule={name}")
            told = answer.body.get(label, {}) if answer.status == 200 else {}
            return answer.body if (told.get("matched"), told.get("unmatched")) == (6, 6) else {}

        counts = await until(counted, LIVE_LIMIT_S, "six matches, and as many that are none")
        assert list(counts) == [label]
        told = {key: counts[label][key] for key in ("delivered", "failed", "active")}
        assert told == {"delivered": 6, "failed": 0, "active": True}
        assert counts[label]["last_match_ms"] >= counts[label]["since_ms"]
        auth = {"Authorization": f"Bearer {api.token}"}
        for worker in routers:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{worker.port}", headers=auth) as session:
                async with session.get("/v1/rule-counts", params={"rule": name}) as answer:
                    assert (await answer.json())[label]["matched"] == 6
                async with session.get("/v1/active-rules") as answer:
                    rules = {each["name"]: each for each in (await answer.json())["rules"]}
                    assert rules[name]["active_since"] > 0
        assert "refused" in (await api.ask("GET", "/active-rules")).body
        assert (await ask(routers[0], "/v1/rule-counts")).status == 401
        await api.ask("DELETE", f"/routes/{name}", headers={"If-Match": '"1"'})
