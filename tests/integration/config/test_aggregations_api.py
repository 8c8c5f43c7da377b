"""Aggregations over HTTP: what each request does to the builds, the registry, the topics and the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from fleet.settings import Settings
from schemas.cluster import read_topics
from tables.access import Role
from tests.support.api import Answer, Api, an_aggregation, open_api

COUNT = {"as": "n", "function": "count"}


def builds(answer: Answer) -> tuple[list[int], int]:
    """Return the numbers of the builds, and the one that is served."""
    assert answer.status in {200, 201}, answer.body
    return [each["number"] for each in answer.body["builds"]], answer.body["serving"]


async def changed(api: Api, name: str, **fields: Any) -> Answer:
    """Change fields of an aggregation, as its current version."""
    found = (await api.ask("GET", f"/aggregations/{name}")).body
    return await api.ask("PUT", f"/aggregations/{name}", {**found, **fields})


async def test_an_aggregation_goes_through_its_life(api: Api, unique: Callable[[str], str]) -> None:
    """Drafted, activated, changed, switched, gone back, discarded, deleted: all in history and audit."""
    name = unique("life")
    path = f"/aggregations/{name}"
    made = await api.ask("POST", "/aggregations", an_aggregation(name, state="draft"))
    assert (builds(made), made.headers["Location"]) == (([], 0), f"/v1{path}")
    active = await api.ask("POST", f"{path}/resume")
    assert (builds(active), active.headers["ETag"]) == (([2], 2), '"2"')
    more = [*active.body["functions"], COUNT]
    assert builds(await changed(api, name, functions=more, start="earliest")) == ([2, 3], 2)
    assert builds(await changed(api, name, description="the same", retention_ms=5)) == ([2, 3], 2)
    switched = await api.ask("POST", f"{path}/switch", params={"to": "3", "reason": "it has caught up"})
    assert builds(switched) == ([2, 3], 3)
    again = await api.ask("POST", f"{path}/switch", params={"to": "3"})
    assert (builds(again), again.body["version"]) == (([2, 3], 3), 5)
    back = await api.ask("POST", f"{path}/rollback", params={"to": "2"})
    assert (builds(back), len(back.body["functions"])) == (([2, 3], 3), 1)
    assert builds(await api.ask("POST", f"{path}/switch", params={"to": "2"})) == ([2, 3], 2)
    assert builds(await api.ask("POST", f"{path}/discard", params={"build": "3"})) == ([2], 2)
    assert builds(await api.ask("POST", f"{path}/pause")) == ([2], 2)
    assert builds(await api.ask("DELETE", path)) == ([], 0)
    told = (await api.ask("GET", f"{path}/history")).body["versions"]
    actions = ["create", "resume", "update", "update", "switch", "rollback", "switch", "discard", "pause"]
    assert [each["action"] for each in reversed(told)] == [*actions, "delete"]
    page = (await api.ask("GET", "/audit/aggregations", params={"name": name, "action": "switch"})).body
    assert page["chain"]["intact"]
    second, first = page["records"]
    assert (first["reason"], first["before"]["serving"], first["after"]["serving"]) == (
        "it has caught up",
        2,
        3,
    )
    assert second["actor"]["id"].startswith("key:")
    rows = {row.offset: row.value for row in await api.rows("fleet.config.aggregations")}
    assert orjson.loads(rows[second["config_offset"]]) == second["after"]


async def test_one_that_comes_back_is_built_anew(api: Api, unique: Callable[[str], str]) -> None:
    """Its state is gone with the deletion: a rollback of a deleted one gives a build of its own number."""
    name = unique("back")
    await api.ask("POST", "/aggregations", an_aggregation(name))
    await api.ask("DELETE", f"/aggregations/{name}")
    back = await api.ask("POST", f"/aggregations/{name}/rollback", params={"to": "1"})
    assert builds(back) == ([3], 3)


async def test_steps_about_builds_are_refused(api: Api, unique: Callable[[str], str]) -> None:
    """409 for the served build or a stale version, 404 for none, 403 for another team, 422 for too many."""
    name = unique("refused")
    path = f"/aggregations/{name}"
    await api.ask("POST", "/aggregations", an_aggregation(name))
    served = await api.ask("POST", f"{path}/discard", params={"build": "1"})
    assert (served.status, served.body["version"]) == (409, 1)
    assert "switch to another build first" in served.body["detail"]
    for step, query in (("switch", {"to": "7"}), ("discard", {"build": "7"})):
        missing = await api.ask("POST", f"{path}/{step}", params=query)
        assert (missing.status, "its builds are 1" in missing.body["detail"]) == (404, True)
        asked = await api.ask("POST", f"{path}/{step}", params={"number": "1"})
        assert (asked.status, asked.body["field"]) == (400, "number")
    assert builds(await changed(api, name, grace_ms=1)) == ([1, 2], 1)
    stale = await api.ask("POST", f"{path}/switch", params={"to": "2"}, headers={"If-Match": '"1"'})
    assert (stale.status, stale.body["version"]) == (409, 2)
    other = await api.key("fraud", Role.OWNER)
    denied = await api.known("POST", f"{path}/switch?to=2", None, token=other)
    assert (denied.status, "of team finance" in denied.body["detail"]) == (403, True)
    for grace_ms in (2, 3):
        await changed(api, name, grace_ms=grace_ms)
    full = await changed(api, name, grace_ms=4)
    assert (full.status, full.body["field"]) == (422, "builds")
    assert "4 of them (1, 2, 3, 4)" in full.body["detail"]
    assert builds(await api.ask("GET", path)) == ([1, 2, 3, 4], 1)


async def test_its_topic_is_made_and_its_results_are_an_event_type(
    api: Api, unique: Callable[[str], str], stack_settings: Settings
) -> None:
    """With the partitions of the source, once it is active; another can read it, unless they go round."""
    name = unique("made")
    topic = f"finance.{name}"
    await api.ask("POST", "/aggregations", an_aggregation(name, state="draft"))
    assert await read_topics([topic], stack_settings) == {}
    active = (await api.ask("POST", f"/aggregations/{name}/resume")).body
    state = (await read_topics([topic], stack_settings))[topic]
    assert (state.partitions, state.configs["retention.ms"]) == (6, "604800000")
    async with api.registry() as registry:
        assert (await registry.latest(f"{topic}-value")).schema_id == active["builds"][0]["output_schema"]
    above = an_aggregation(
        f"{name}-above",
        sources=[topic],
        group_by={"payer": "event.payer"},
        filter="event.final",
        event_time="event.window_end",
        functions=[{"as": "largest", "function": "max", "of": "event.total"}],
    )
    assert builds(await api.ask("POST", "/aggregations", above)) == ([1], 1)
    back: dict[str, Any] = {
        "sources": [f"finance.{name}-above"],
        "group_by": {"payer": "event.payer"},
        "filter": "true",
    }
    back["functions"] = [{"as": "total", "function": "sum", "of": "event.largest"}]
    of_each_other = await changed(api, name, **back)
    assert (of_each_other.status, of_each_other.body["field"]) == (422, "sources")
    assert (
        f"{topic} -({name}-above)-> finance.{name}-above -({name})-> {topic}" in of_each_other.body["detail"]
    )
    again = await changed(api, name, output={"topic": f"finance.{name}-2", "mode": "finals"})
    assert (builds(again), list(await read_topics([f"finance.{name}-2"], stack_settings))) == (
        ([1 + 1], 2),
        [f"finance.{name}-2"],
    )


async def test_a_topic_with_other_values_is_left_alone(api: Api, unique: Callable[[str], str]) -> None:
    """Its readers would find what they do not know, and rules on it another schema."""
    topic = {"topic": "analytics.claims"}
    refused = await api.ask("POST", "/aggregations", an_aggregation(unique("other"), output=topic))
    assert (refused.status, refused.body["field"]) == (422, "output.topic")
    assert "'analytics.claims' holds" in refused.body["detail"]
    platform = an_aggregation(unique("other"), output={"topic": "fleet.config.aggregations"})
    assert (await api.ask("POST", "/aggregations", platform)).body["field"] == "output.topic"


async def test_importing_makes_builds_as_writing_does(api: Api, unique: Callable[[str], str]) -> None:
    """What is exported says nothing of builds; importing it again changes nothing, nor does a dry run."""
    name, team = unique("file"), unique("team")
    await api.ask("POST", "/aggregations", an_aggregation(name, owner=team))
    text = (await api.ask("GET", "/aggregations/export", params={"owner": team})).body
    assert "build" not in text
    same = await api.send("POST", "/aggregations/import", text, "application/yaml")
    assert same.body["steps"][0]["action"] == "unchanged"
    text = text.replace("size_ms: 60000", "size_ms: 61000")
    for dry_run, expected in (("true", [1]), ("false", [1, 2])):
        answer = await api.send(
            "POST", "/aggregations/import", text, "application/yaml", params={"dry_run": dry_run}
        )
        assert [each["field"] for each in answer.body["steps"][0]["fields"]] == ["windows.size_ms"]
        assert builds(await api.ask("GET", f"/aggregations/{name}")) == (expected, 1)


async def test_two_gateways_switch_at_a_time(
    api: Api, stack_settings: Settings, unique: Callable[[str], str]
) -> None:
    """Of one version one step succeeds, whichever gateway is asked; the other is told the new version."""
    name = unique("raced")
    path = f"/aggregations/{name}"
    await api.ask("POST", "/aggregations", an_aggregation(name))
    await changed(api, name, grace_ms=1)
    await changed(api, name, grace_ms=2)
    async with open_api(stack_settings) as other:
        match = {"If-Match": '"3"'}
        answers = await asyncio.gather(
            api.ask("POST", f"{path}/switch", params={"to": "2"}, headers=match),
            other.ask("POST", f"{path}/switch", params={"to": "3"}, headers=match),
        )
        assert sorted(each.status for each in answers) == [200, 409]
        (done,) = (each for each in answers if each.status == 200)
        for gateway in (api, other):
            assert builds(await gateway.ask("GET", path)) == ([1, 2, 3], done.body["serving"])
    page = (await api.ask("GET", "/audit/aggregations", params={"name": name})).body
    assert (page["chain"]["intact"], page["records"][0]["action"]) == (True, "switch")


@pytest.mark.parametrize("state", ["draft", "active"])
async def test_what_a_caller_says_of_builds_is_passed_over(
    api: Api, unique: Callable[[str], str], state: str
) -> None:
    """The platform alone sets them."""
    name = unique("forged")
    made = (await api.ask("POST", "/aggregations", an_aggregation(name))).body
    forged = {"builds": [], "serving": 9, "paused_because": "because", "state": state}
    assert builds(await changed(api, name, **forged)) == ([1], 1)
    found = (await api.ask("GET", f"/aggregations/{name}")).body
    assert (found["builds"], found["paused_because"]) == (made["builds"], "")
