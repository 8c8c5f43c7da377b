"""Why an event went where it did: over HTTP and by the command line, against what is in the topics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from fleet.settings import Settings
from tables.access import Role
from tests.support.agents_cli import eventfleet
from tests.support.api import Answer, Api
from tests.support.lane_kafka import Cluster
from tests.support.lane_processes import Worker
from tests.support.polling import until
from tests.support.router_claims import CANONICAL, Published
from tests.support.router_runs import LIMIT_S

Place = tuple[str, int, int]


async def activated(api: Api, worker: Worker, name: str, condition: str, **fields: Any) -> None:
    """Make a rule over HTTP, and wait until the worker has it."""
    document = {"name": name, "owner": "team", "source": CANONICAL, "condition": condition, "state": "active"}
    made = await api.ask("POST", "/routes", {**document, "targets": [f"team.{name}"], **fields})
    assert made.status == 201, made.body
    await has(worker, name, "active")


async def has(worker: Worker, name: str, state: str) -> None:
    """Wait until the worker has a rule in a state."""

    async def found() -> bool:
        _, body = await worker.ask("/routes")
        return any((each["name"], each["state"]) == (name, state) for each in body["rules"])

    await until(found, LIMIT_S, f"rule {name} {state}")


async def sent(settings: Settings, published: Published, event_id: str, **record: Any) -> Place:
    """Send a claim of this id."""
    claim = published.claims[0]
    headers = [(name, value) for name, value in claim.headers if name != "ce_id"]
    async with Cluster(settings.kafka).producer() as producer:
        done = await producer.send_and_wait(
            CANONICAL,
            record.get("value", claim.value),
            key=claim.key,
            headers=[("ce_id", event_id.encode()), *headers],
        )
    return done.topic, done.partition, done.offset


async def asked(api: Api, place: Place, **options: Any) -> Answer:
    """Ask for the explanation of the event at these coordinates."""
    topic, partition, offset = place
    return await api.ask("GET", f"/explain?topic={topic}&partition={partition}&offset={offset}", **options)


async def routed(api: Api, place: Place) -> dict[str, Any]:
    """Return the explanation of an event once it is routed."""

    async def found() -> dict[str, Any] | None:
        answer = await asked(api, place)
        assert answer.status == 200, answer.body
        return dict(answer.body) if answer.body["routing"]["state"] == "routed" else None

    explanation = await until(found, LIMIT_S, f"{place} routed")
    assert explanation is not None
    return explanation


def told(rules: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return what is said of a rule."""
    return next(each for each in rules if each["rule"].partition("@")[0] == name)


async def test_an_event_that_waits_says_so(
    stack_settings: Settings, published: Published, unique: Callable[[str], str]
) -> None:
    """Before a router runs, an event is not routed yet: the command says how many are before it."""
    place = await sent(stack_settings, published, unique("waiting"))
    process = eventfleet(stack_settings, "routes", "explain", *map(str, place), "--json")
    out, err = await asyncio.to_thread(process.communicate, timeout=LIMIT_S)
    assert err == ""
    found = json.loads(out)
    assert found["routing"]["state"] == "waiting"
    assert found["routing"]["lag"] >= 1
    assert found["as_routed"] == {"reason": "it is not routed yet"}


async def test_copies_are_where_it_says(
    api: Api,
    worker: Worker,
    settings: Settings,
    published: Published,
    unique: Callable[[str], str],
) -> None:
    """Of a plain copy, one with a key of its own, and a rule that does not match: as read from the topics."""
    plain, keyed, never = unique("plain"), unique("keyed"), unique("never")
    cluster = Cluster(settings.kafka)
    await cluster.create({f"team.{name}": 3 for name in (plain, keyed, never)})
    mine = f"attributes.id.startsWith('{plain}')"
    await activated(api, worker, plain, mine)
    await activated(api, worker, keyed, mine, key="attributes.id + '-key'")
    await activated(api, worker, never, f"{mine} && event.total_charge > 5000000")
    await sent(settings, published, f"{plain}-before")
    place = await sent(settings, published, plain)
    await sent(settings, published, f"{plain}-after")
    found = await routed(api, place)
    there = {
        (record.topic, record.partition, record.offset, dict(record.headers)["fleet_rule"].decode())
        for name in (plain, keyed, never)
        for record in await cluster.read(f"team.{name}")
        if dict(record.headers)["ce_id"] == plain.encode()
    }
    names = {f"team.{name}" for name in (plain, keyed, never)}
    copies = [each for each in found["copies"] if each["topic"] in names]
    assert {(each["topic"], each["partition"], each["offset"], each["rule"]) for each in copies} == there
    assert {each["rule"] for each in copies} == {f"{plain}@1", f"{keyed}@1"}
    assert found["as_routed"] == {"config_offset": copies[0]["config_offset"], "same_as_now": True}
    rules = found["now"]["rules"]
    assert told(rules, plain)["verdict"] == "matched"
    (why,) = told(rules, never)["why"]
    assert why["text"] == "event.total_charge > 5000000"
    assert why["said"].startswith("event.total_charge > 5000000 (event.total_charge = ")
    by_id = await api.ask("GET", f"/explain?id={plain}")
    assert by_id.body["event"] == found["event"]
    assert by_id.body["copies"] == found["copies"]
    assert by_id.body["search"]["looked_at"] >= 1


async def test_it_knows_the_rules_as_they_were(
    api: Api, worker: Worker, settings: Settings, published: Published, unique: Callable[[str], str]
) -> None:
    """Changed and then paused, a rule is explained as it is, and as it was when the event was routed."""
    name = unique("changing")
    await Cluster(settings.kafka).create({f"team.{name}": 1})
    await activated(api, worker, name, f"attributes.id == '{name}'")
    place = await sent(settings, published, name)
    await routed(api, place)
    paused = await api.ask("POST", f"/routes/{name}/pause")
    assert paused.status == 200
    await has(worker, name, "paused")
    found = await routed(api, place)
    assert told(found["now"]["rules"], name)["verdict"] == "not_active"
    assert not found["as_routed"]["same_as_now"]
    was = told(found["as_routed"]["rules"], name)
    assert (was["rule"], was["verdict"]) == (f"{name}@1", "matched")
    (copy,) = [each for each in found["copies"] if each["topic"] == f"team.{name}"]
    assert copy["config_offset"] == found["as_routed"]["config_offset"]


async def test_dead_letters_are_found(
    api: Api, worker: Worker, settings: Settings, published: Published, unique: Callable[[str], str]
) -> None:
    """A condition that fails, and a target that does not exist: the letters, beside the verdicts."""
    failing, lost = unique("failing"), unique("lost")
    await activated(api, worker, failing, f"attributes.id == '{lost}' && 1 / (size(attributes.id) * 0) == 1")
    await activated(api, worker, lost, f"attributes.id == '{lost}'")
    found = await routed(api, await sent(settings, published, lost))
    letters = {each["reason"]: each for each in found["dead_letters"]}
    assert letters["condition_error"]["rule"] == f"{failing}@1"
    assert letters["unknown_topic"]["detail"] == f"target topic team.{lost} does not exist"
    assert told(found["now"]["rules"], failing)["verdict"] == "error"
    (place,) = [each for each in found["searched"] if each["topic"] == f"team.{lost}"]
    assert place == {"topic": f"team.{lost}", "found": False, "reason": "the topic does not exist"}
    for name in (failing, lost):
        await api.ask("DELETE", f"/routes/{name}")


@pytest.mark.parametrize(
    ("query", "status", "part"),
    [
        ("", 400, "which event is not clear"),
        (f"topic={CANONICAL}&id=1", 400, "which event is not clear"),
        (f"topic={CANONICAL}&partition=x&offset=1", 400, "partition must be a whole number"),
        (f"topic={CANONICAL}&partition=0&offset=999999999", 404, "no event at canonical.claim 0 999999999"),
        ("topic=fleet.audit.keys&partition=0&offset=0", 400, "the router does not read"),
        ("id=none-of-this-id", 404, "no event of id 'none-of-this-id' among "),
        ("id=1&since=yesterday", 400, "since is not such a time"),
    ],
)
async def test_what_cannot_be_found_is_told(
    query: str, status: int, part: str, api: Api, worker: Worker
) -> None:
    """One line that says what to do, or how far was looked."""
    del worker
    answer = await api.ask("GET", f"/explain?{query}")
    assert answer.status == status, answer.body
    assert part in answer.body["detail"]


async def test_viewers_do_not_see_what_events_hold(api: Api, worker: Worker) -> None:
    """An explanation shows values of fields: a developer may see them, a viewer may not."""
    del worker
    viewer, developer = await api.key("team", Role.VIEWER), await api.key("team", Role.DEVELOPER)
    place = (CANONICAL, 0, 0)
    assert (await asked(api, place, token=viewer)).status == 403
    assert (await asked(api, place, token=developer)).status == 200


async def test_the_command_line_explains(
    settings: Settings, worker: Worker, api: Api, published: Published, unique: Callable[[str], str]
) -> None:
    """For people, and as JSON, the same as over HTTP."""
    name = unique("told")
    await Cluster(settings.kafka).create({f"team.{name}": 1})
    await activated(api, worker, name, f"attributes.id == '{name}'")
    place = await sent(settings, published, name)
    found = await routed(api, place)
    arguments = ["routes", "explain", *map(str, place)]
    process = eventfleet(settings, *arguments, "--json")
    out, err = await asyncio.to_thread(process.communicate, timeout=LIMIT_S)
    assert err == ""
    assert json.loads(out)["copies"] == found["copies"]
    process = eventfleet(settings, "routes", "explain", "--id", name)
    out, err = await asyncio.to_thread(process.communicate, timeout=LIMIT_S)
    assert err == ""
    assert f"{CANONICAL} {place[1]} {place[2]}: canonical.claim" in out
    assert f"Copy at team.{name} 0 0, by {name}@1" in out
