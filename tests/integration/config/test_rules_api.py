"""Rules over HTTP: what each request does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import yaml

from fleet.settings import Settings
from tests.support.api import Api, a_rule, open_api


async def test_a_rule_goes_through_its_life(api: Api, unique: Callable[[str], str]) -> None:
    """Created, read, changed, paused, resumed, deleted: each a version more, with its ETag and history."""
    name = unique("life")
    made = await api.ask("POST", "/routes", a_rule(name), params={"reason": "wanted"})
    assert (made.status, made.body["version"], made.headers["ETag"]) == (201, 1, '"1"')
    assert made.headers["Location"] == f"/v1/routes/{name}"
    assert (await api.ask("GET", f"/routes/{name}")).body == made.body
    changed = await api.ask("PUT", f"/routes/{name}", {**made.body, "description": "changed"})
    assert (changed.status, changed.body["version"]) == (200, 2)
    paused = await api.ask("POST", f"/routes/{name}/pause", headers={"If-Match": '"2"'})
    assert (paused.status, paused.body["version"], paused.body["state"]) == (200, 3, "paused")
    again = await api.ask("POST", f"/routes/{name}/pause")
    assert (again.status, again.body) == (200, paused.body)
    resumed = await api.ask("POST", f"/routes/{name}/resume")
    assert (resumed.body["version"], resumed.body["state"]) == (4, "active")
    deleted = await api.ask("DELETE", f"/routes/{name}")
    assert (deleted.body["version"], deleted.body["state"]) == (5, "deleted")
    told = (await api.ask("GET", f"/routes/{name}/history")).body["versions"]
    assert [(each["version"], each["action"]) for each in told] == [
        (5, "delete"),
        (4, "resume"),
        (3, "pause"),
        (2, "update"),
        (1, "create"),
    ]
    assert told[-1]["reason"] == "wanted"


async def test_a_deleted_rule_is_kept_and_comes_back(api: Api, unique: Callable[[str], str]) -> None:
    """Listed only on demand, not to be changed; a rollback or a new one goes on counting versions."""
    name = unique("gone")
    await api.ask("POST", "/routes", a_rule(name))
    await api.ask("DELETE", f"/routes/{name}")
    assert (await api.ask("GET", f"/routes/{name}")).body["state"] == "deleted"
    assert name not in await listed(api, owner="finance")
    assert name in await listed(api, owner="finance", state="deleted")
    for method, path in (("PUT", ""), ("POST", "/pause"), ("DELETE", "")):
        content = a_rule(name) if method == "PUT" else None
        refused = await api.ask(method, f"/routes/{name}{path}", content, headers={"If-Match": '"2"'})
        assert (refused.status, "is deleted" in refused.body["detail"]) == (404, True)
    refused = await api.ask("POST", f"/routes/{name}/rollback", params={"to": "2"})
    assert (refused.status, "is its deletion" in refused.body["detail"]) == (400, True)
    back = await api.ask("POST", f"/routes/{name}/rollback", params={"to": "1"})
    assert (back.body["version"], back.body["state"]) == (3, "active")
    await api.ask("DELETE", f"/routes/{name}")
    anew = await api.ask("POST", "/routes", a_rule(name, description="another"))
    assert (anew.status, anew.body["version"], anew.body["description"]) == (201, 5, "another")


async def listed(api: Api, **query: str) -> list[str]:
    """Return the names on all pages of a list, two rules a page."""
    names: list[str] = []
    page = (await api.ask("GET", "/routes", params={**query, "limit": "2"})).body
    names += [each["name"] for each in page["items"]]
    while page["after"]:
        more = {**query, "limit": "2", "after": page["after"]}
        page = (await api.ask("GET", "/routes", params=more)).body
        names += [each["name"] for each in page["items"]]
    assert page["total"] == len(names)
    return names


async def test_lists_are_filtered_and_paged(api: Api, unique: Callable[[str], str]) -> None:
    """By owner, source, state and text, in the order of names, each rule on one page."""
    team = unique("team")
    names = sorted(unique("paged") for _ in range(5))
    for name in names:
        await api.ask("POST", "/routes", a_rule(name, owner=team, description=f"<{name}>"))
    await api.ask("POST", f"/routes/{names[2]}/pause")
    assert await listed(api, owner=team) == names
    assert await listed(api, owner=team, state="paused") == [names[2]]
    assert await listed(api, text=f"<{names[1]}>".upper()) == [names[1]]
    assert await listed(api, owner=team, source="canonical.other") == []


async def test_versions_are_told_apart_and_gone_back_to(
    api: Api, stack_settings: Settings, unique: Callable[[str], str]
) -> None:
    """The difference of any two, field by field and as text; also by a gateway that has just been started."""
    name = unique("versions")
    rule = (await api.ask("POST", "/routes", a_rule(name, state="draft"))).body
    projection = {"keep": ["claim_id"], "compute": {"big": "event.total_charge > 5"}}
    await api.ask("PUT", f"/routes/{name}", {**rule, "projection": projection, "description": "two"})
    async with open_api(stack_settings) as other:
        other.token = api.token
        found = (await other.ask("GET", f"/routes/{name}/diff", params={"from": "1", "to": "2"})).body
        assert {each["field"]: (each["from"], each["to"]) for each in found["fields"]} == {
            "projection.keep": (None, ["claim_id"]),
            "projection.compute.big": (None, "event.total_charge > 5"),
            "description": (None, "two"),
        }
        assert f"--- {name}@1\n+++ {name}@2\n" in found["text"]
        assert "+    big: event.total_charge > 5\n" in found["text"]
        back = await other.ask("POST", f"/routes/{name}/rollback", params={"to": "1"})
    assert (back.body["version"], back.body["projection"]) == (3, None)
    same = (await api.ask("GET", f"/routes/{name}/diff", params={"from": "1", "to": "3"})).body
    assert same == {"fields": [], "text": ""}
    told = (await api.ask("GET", f"/routes/{name}/history")).body["versions"]
    assert [each["document"]["version"] for each in told] == [3, 2, 1]
    assert told[0]["reason"] == "back to version 1"
    missing = await api.ask("GET", f"/routes/{name}/diff", params={"from": "1", "to": "9"})
    assert (missing.status, "its versions are 1 to 3" in missing.body["detail"]) == (404, True)


async def test_a_projection_has_a_registered_schema(api: Api, unique: Callable[[str], str]) -> None:
    """Its id is in the rule; the caller cannot choose it, and it goes with the projection."""
    name = unique("shaped")
    projection = {"keep": ["claim_id"], "compute": {"over": "event.total_charge - 10"}}
    rule = (await api.ask("POST", "/routes", a_rule(name, projection=projection, output_schema=1))).body
    async with api.registry() as registry:
        schema = await registry.schema(rule["output_schema"])
    assert [field["name"] for field in schema["fields"]] == ["claim_id", "over"]
    changed = (await api.ask("PUT", f"/routes/{name}", {**rule, "projection": None})).body
    assert changed["output_schema"] is None


async def test_importing_twice_changes_nothing(api: Api, unique: Callable[[str], str]) -> None:
    """What is exported can be imported: once it creates, again it changes nothing, one difference is one."""
    team = unique("team")
    first, second = sorted(unique("file") for _ in range(2))
    rules = [
        a_rule(second, owner=team, condition="event.total_charge > 1\n&& true"),
        a_rule(first, owner=team),
    ]
    planned = await imported(api, rules, dry_run="true")
    assert [(step["name"], step["action"]) for step in planned] == [(second, "create"), (first, "create")]
    assert await listed(api, owner=team) == []
    assert await imported(api, rules) == planned
    assert {step["action"] for step in await imported(api, rules)} == {"unchanged"}
    exported = await api.ask("GET", "/routes/export", params={"owner": team})
    assert exported.headers["Content-Type"].startswith("application/yaml")
    found = yaml.safe_load(exported.body)
    assert [each["name"] for each in found] == [first, second]
    assert {step["action"] for step in await imported(api, exported.body)} == {"unchanged"}
    found[0]["description"] = "changed"
    (changed, same) = await imported(api, found)
    assert (changed["action"], changed["version"]) == ("update", 2)
    assert changed["fields"] == [{"field": "description", "from": None, "to": "changed"}]
    assert same["action"] == "unchanged"
    pruned = await imported(api, found[:1], prune="true")
    assert [(step["name"], step["action"]) for step in pruned] == [(first, "unchanged"), (second, "delete")]
    assert await listed(api, owner=team) == [first]


async def imported(api: Api, rules: Any, **query: str) -> list[Any]:
    """Import rules and return the steps."""
    text = rules if isinstance(rules, str) else yaml.safe_dump(rules)
    answer = await api.send("POST", "/routes/import", text, "application/yaml", params=query)
    assert answer.status == 200, answer.body
    return list(answer.body["steps"])


async def test_an_import_is_whole_or_nothing(api: Api, unique: Callable[[str], str]) -> None:
    """One rule that is refused, and none is written; the answer names it."""
    good, bad = unique("good"), unique("bad")
    rules = [a_rule(good), a_rule(bad, condition="event.no_such_field > 1")]
    refused = await api.send("POST", "/routes/import", yaml.safe_dump(rules), "application/yaml")
    assert refused.status == 422
    assert (refused.body["field"], bad in refused.body["detail"]) == ("condition", True)
    assert (await api.ask("GET", f"/routes/{good}")).status == 404


async def test_the_audit_tells_who_did_what(api: Api, unique: Callable[[str], str]) -> None:
    """Before and after, by whom, at which offset; filtered and paged, with the chain checked."""
    name = unique("audited")
    await api.ask("POST", "/routes", a_rule(name))
    await api.ask("DELETE", f"/routes/{name}", params={"reason": "no longer wanted"})
    page = (await api.ask("GET", "/audit/routes", params={"name": name})).body
    assert page["chain"]["intact"]
    deleted, created = page["records"]
    assert (created["before"], created["version_before"], created["after"]["state"]) == (None, None, "active")
    assert (deleted["before"], deleted["after"]["state"]) == (created["after"], "deleted")
    assert deleted["actor"]["id"].startswith("key:")
    assert (deleted["actor"]["roles"], deleted["reason"]) == (["admin"], "no longer wanted")
    assert deleted["previous_hash"] == created["hash"]
    rows = {row.offset: row.value for row in await api.rows("fleet.config.routes")}
    assert orjson.loads(rows[deleted["config_offset"]]) == deleted["after"]
    first = (await api.ask("GET", "/audit/routes", params={"name": name, "limit": "1"})).body
    assert (first["records"], first["before"]) == ([deleted], deleted["number"])
    rest = {"name": name, "before": str(first["before"])}
    assert (await api.ask("GET", "/audit/routes", params=rest)).body["records"] == [created]
    assert (await api.ask("GET", "/audit/routes", params={"name": name, "action": "update"})).body[
        "records"
    ] == []
