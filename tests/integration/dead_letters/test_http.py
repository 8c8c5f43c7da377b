"""Dead letters over HTTP: what each request does, and what it answers where it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from fleet.settings import Settings
from tables.access import Role
from tables.dead_letters import LetterId
from tests.support.agents_fleet import apply_topics
from tests.support.api import Api, open_api
from tests.support.dead_letters import Desk
from tests.support.polling import until

LIMIT_S = 60.0


@pytest_asyncio.fixture
async def api(stack_settings: Settings) -> AsyncIterator[Api]:
    """A gateway in this process, and an admin's key to it."""
    await apply_topics(stack_settings)
    async with open_api(stack_settings) as opened:
        yield opened


def path(where: LetterId, rest: str = "") -> str:
    """Return the path of a letter."""
    return f"/dead-letters/{where.name}{rest}"


async def test_a_letter_is_found_looked_at_edited_and_redriven(api: Api, desk: Desk) -> None:
    """The whole way, as a person at the portal goes it."""
    where = await desk.write(b'{"npi": "wrong"}', offset=5)
    found = await api.ask("GET", "/dead-letters", params={"reason": desk.reason, "state": "open"})
    assert [each["offset"] for each in found.body["letters"]] == [where.offset]
    assert "payload" not in found.body["letters"][0]

    looked = (await api.ask("GET", path(where), params={"payload": "true", "reason": "ticket 7"})).body
    assert looked["payload"] == {"format": "json", "content": {"npi": "wrong"}, "schema_id": None}
    assert (looked["key"]["content"], looked["headers"]) == ("key", [["ce_id", "1"]])

    changed = {"payload": {"format": "json", "content": {"npi": "good"}}}
    made = await api.ask("PUT", path(where, "/copy"), changed, params={"reason": "ticket 7"})
    assert (made.status, made.body["letter"]["copy_of"]) == (201, where.name)
    location = made.headers["Location"].removeprefix("/v1")

    redriven = await api.ask("POST", f"{location}/redrive", params={"reason": "ticket 7"})
    assert (redriven.status, redriven.body["letter"]["state"]) == (200, "redriven")
    again = await api.ask("POST", f"{location}/redrive")
    assert (again.status, again.headers["Content-Type"]) == (409, "application/problem+json")
    assert "was already redriven at" in again.body["detail"]
    (record,) = await desk.redriven()
    assert record.value == b'{"npi":"good"}'

    audit = await api.ask("GET", "/audit/dead-letters", params={"name": where.name})
    assert [(each["action"], each["reason"]) for each in audit.body["records"]] == [
        ("edit", "ticket 7"),
        ("look", "ticket 7"),
    ]
    assert audit.body["chain"]["intact"]
    assert "wrong" not in str(audit.body["records"])


async def test_two_gateways_redrive_a_letter_once(api: Api, desk: Desk, stack_settings: Settings) -> None:
    """Clicked in both at the same time: one is told that it is done."""
    where = await desk.write()
    async with open_api(stack_settings) as other:
        answers = await asyncio.gather(
            *(each.ask("POST", path(where, "/redrive")) for each in (api, other) * 2)
        )
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    assert len(await desk.redriven()) == 1


async def test_a_selection_is_redriven_as_a_job(api: Api, desk: Desk) -> None:
    """202 with where to look; what was dealt with before is skipped; the job says how far it is."""
    written = [await desk.write(offset=number, partition=number % 3) for number in range(7)]
    await api.ask("POST", path(written[0], "/redrive"))
    selection = {"agent": desk.agent, "reason": desk.reason}
    started = await api.ask("POST", "/dead-letters/redrives", {"selection": selection, "rate": 1000})
    assert (started.status, started.body["by"][:4]) == (202, "key:")

    async def ended() -> Any:
        job = await api.ask("GET", started.headers["Location"].removeprefix("/v1"))
        return job.body if job.body["state"] != "running" else None

    job = await until(ended, LIMIT_S, "the end of the job")
    assert (job["state"], job["redriven"], job["skipped"], job["refused"]) == ("done", 6, 1, 0)
    assert len(await desk.redriven()) == 7


async def test_a_job_keeps_its_rate_and_can_be_cancelled(api: Api, desk: Desk) -> None:
    """Two a second of twenty: cancelled after the first ones, the others stay open."""
    for number in range(20):
        await desk.write(offset=number)
    asked = {"selection": {"reason": desk.reason}, "rate": 2}
    started = await api.ask("POST", "/dead-letters/redrives", asked)
    where = started.headers["Location"].removeprefix("/v1")

    async def begun() -> bool:
        return bool((await api.ask("GET", where)).body["redriven"])

    await until(begun, LIMIT_S, "the first letter redriven")
    cancelled = (await api.ask("DELETE", where)).body
    assert cancelled["state"] == "cancelled"
    assert 0 < cancelled["redriven"] < 20
    assert len(await desk.redriven()) == cancelled["redriven"]
    assert (await api.ask("GET", where)).body == cancelled


async def test_letters_named_one_by_one_are_redriven(api: Api, desk: Desk) -> None:
    """Those, and no others of their kind; one that cannot be is named with the reason."""
    wanted, other = await desk.write(offset=1), await desk.write(offset=2)
    gone = await desk.write(offset=3, source="raw.x12", partition=0, claim_checked=True)
    asked = {"letters": [wanted.name, gone.name]}
    started = await api.ask("POST", "/dead-letters/redrives", asked)

    async def ended() -> Any:
        job = await api.ask("GET", started.headers["Location"].removeprefix("/v1"))
        return job.body if job.body["state"] != "running" else None

    job = await until(ended, LIMIT_S, "the end of the job")
    assert (job["redriven"], job["refused"], list(job["reasons"])) == (1, 1, [gone.name])
    assert (await api.ask("GET", path(other))).body["letter"]["state"] == "open"


async def test_a_purge_needs_a_reason(api: Api, desk: Desk) -> None:
    """Without one nothing is hidden."""
    where = await desk.write()
    refused = await api.ask("POST", path(where, "/purge"))
    assert (refused.status, refused.body["field"]) == (400, "reason")
    done = await api.ask("POST", path(where, "/purge"), params={"reason": "a test file"})
    assert done.body == {"done": 1, "skipped": 0, "refused": {}}
    found = await api.ask("GET", "/dead-letters", params={"reason": desk.reason})
    assert found.body["letters"] == []
    many = {"selection": {"reason": desk.reason}, "reason": "again"}
    assert (await api.ask("POST", "/dead-letters/purge", many)).body["done"] == 0


async def test_what_is_wrong_is_named(api: Api, desk: Desk) -> None:
    """Status and member, one line each."""
    where = await desk.write()
    for method, at, content, status, said in (
        ("GET", "/dead-letters?who=me", None, 400, "who is not a parameter"),
        ("GET", "/dead-letters?state=lost", None, 400, "'lost' is no state"),
        ("GET", "/dead-letters?agent=nobody", None, 404, "no agent 'nobody' has dead letters"),
        ("GET", "/dead-letters/normalizer/0/x", None, 404, "no dead letter normalizer/0/x"),
        ("GET", "/dead-letters/redrives/none", None, 404, "no redrive 'none' here"),
        ("PUT", path(where, "/copy"), {"payload": {"format": "xml"}}, 400, "there is no format 'xml'"),
        ("PUT", path(where, "/copy"), {"value": 1}, 400, "`value`"),
        ("POST", "/dead-letters/redrives", {}, 400, "give either selection or letters"),
        ("POST", "/dead-letters/redrives", {"selection": {}, "rate": 0}, 400, "rate must be more than 0"),
        ("POST", "/dead-letters/redrives", {"letters": ["a/b"]}, 400, "'a/b' is no dead letter"),
        ("POST", "/dead-letters/purge", {"selection": {}}, 400, "`reason`"),
    ):
        answer = await api.ask(method, at, content)
        assert (answer.status, said in answer.body["detail"]) == (status, True), (at, answer.body)


async def test_a_viewer_sees_and_does_nothing(api: Api, desk: Desk) -> None:
    """Lists are open to all who have a role; contents and actions are for owners and stewards."""
    where, viewer = await desk.write(), await api.key("claims", Role.VIEWER)
    assert (await api.ask("GET", path(where), token=viewer)).status == 200
    for method, at, content in (
        ("GET", path(where, "?payload=true"), None),
        ("PUT", path(where, "/copy"), {}),
        ("POST", path(where, "/redrive"), None),
        ("POST", path(where, "/purge?reason=x"), None),
        ("POST", "/dead-letters/redrives", {"selection": {}}),
        ("POST", "/dead-letters/purge", {"selection": {}, "reason": "x"}),
    ):
        assert (await api.ask(method, at, content, token=viewer)).status == 403, at
    nobody = "nobody"
    assert (await api.ask("GET", "/dead-letters", token=nobody)).status == 401
