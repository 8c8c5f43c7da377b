"""What the API refuses: each with the right status, and one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tables.access import Role
from tests.support.api import Api, a_rule
from tests.support.polling import until

REVOKED_LIMIT_S = 30.0


@pytest.mark.parametrize(
    "token",
    ["", "nonsense", f"ef_0000_{'x' * 43}", f"ef_local_{'x' * 43}"],
    ids=["no", "odd", "wrong", "other"],
)
async def test_nobody_known_is_let_in(api: Api, token: str) -> None:
    """401 with how to name oneself, whatever is asked for."""
    for path in ("/routes", "/routes/x", "/audit/routes", "/nothing"):
        refused = await api.ask("GET", path, token=token)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"] == 'Bearer realm="eventfleet"'
        assert refused.headers["Content-Type"] == "application/problem+json"


async def test_denials_are_logged_and_counted(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """With what was asked for and by whom, never with the key."""

    def denied(reason: str) -> float:
        return REGISTRY.get_sample_value("fleet_api_denied_total", {"reason": reason}) or 0.0

    viewer = await api.key("finance", Role.VIEWER)
    before = denied("unauthenticated"), denied("forbidden")
    await api.ask("GET", "/routes/secret-one", token="ef_nonsense")  # noqa: S106 - no key
    assert denied("unauthenticated") == before[0] + 1
    assert (await api.known("POST", "/routes", a_rule("x"), token=viewer)).status == 403
    assert denied("forbidden") == before[1] + 1
    assert "denied GET /v1/routes/secret-one to nobody known" in caplog.text
    assert f"denied POST /v1/routes to key:{viewer.split('_')[1]} " in caplog.text
    assert "ef_nonsense" not in caplog.text
    assert viewer not in caplog.text


async def test_a_revoked_key_opens_nothing(api: Api) -> None:
    """Also in processes that run; one with its id that is made anew does."""
    issued = await api.keys.issue("finance", [Role.VIEWER], api.admin)

    async def status_is(token: str, status: int) -> bool:
        return (await api.ask("GET", "/routes", token=token)).status == status

    await until(lambda: status_is(issued.token, 200), REVOKED_LIMIT_S, "the key known")
    await api.keys.revoke(issued.key.id, api.admin)
    await until(lambda: status_is(issued.token, 401), REVOKED_LIMIT_S, "the key refused")
    anew = await api.keys.issue("finance", [Role.VIEWER], api.admin, key_id=issued.key.id)
    await until(lambda: status_is(anew.token, 200), REVOKED_LIMIT_S, "the new secret known")
    assert await status_is(issued.token, 401)
    states = [each.state for each in await api.keys.all() if each.id == issued.key.id]
    assert states == ["active"]


async def test_only_the_owning_team_changes_a_rule(api: Api, unique: Callable[[str], str]) -> None:
    """Developers and owners of the team and admins do; nobody gives a rule away or takes one."""
    name = unique("owned")
    developer = await api.key("finance", Role.DEVELOPER)
    viewer = await api.key("finance", Role.VIEWER, Role.STEWARD, Role.AUDITOR)
    stranger = await api.key("fraud", Role.OWNER)
    for token in (viewer, stranger):
        refused = await api.known("POST", "/routes", a_rule(name), token=token)
        assert refused.status == 403
        assert "needs the role developer or owner of team finance, or admin" in refused.body["detail"]
    made = await api.known("POST", "/routes", a_rule(name), token=developer)
    assert made.status == 201
    for method, path in (("PUT", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/rollback?to=1")):
        content = {**made.body, "owner": "fraud"} if method == "PUT" else None
        assert (await api.ask(method, f"/routes/{name}{path}", content, token=stranger)).status == 403
    given = await api.ask("PUT", f"/routes/{name}", {**made.body, "owner": "fraud"}, token=developer)
    assert given.status == 403
    assert (await api.ask("GET", f"/routes/{name}", token=stranger)).body == made.body
    assert (await api.ask("POST", f"/routes/{name}/pause", token=developer)).status == 200
    assert (await api.ask("GET", "/audit/routes", token=developer)).status == 403
    assert (await api.ask("GET", "/audit/routes", token=viewer)).status == 200


async def test_a_stale_version_is_a_conflict(api: Api, unique: Callable[[str], str]) -> None:
    """409 with the current version, and nothing is written; without any version 428."""
    name = unique("stale")
    made = (await api.ask("POST", "/routes", a_rule(name))).body
    again = await api.ask("POST", "/routes", a_rule(name))
    assert (again.status, again.body["version"]) == (409, 1)
    newer = (await api.ask("PUT", f"/routes/{name}", {**made, "description": "newer"})).body
    for headers, content in (({"If-Match": '"1"'}, a_rule(name)), ({}, {**a_rule(name), "version": 1})):
        stale = await api.ask("PUT", f"/routes/{name}", content, headers=headers)
        assert (stale.status, stale.body["version"]) == (409, 2)
        assert "is at version 2, not 1" in stale.body["detail"]
    for method, path in (("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/rollback?to=1")):
        stale = await api.ask(method, f"/routes/{name}{path}", headers={"If-Match": 'W/"1"'})
        assert stale.status == 409
    assert (await api.ask("PUT", f"/routes/{name}", a_rule(name))).status == 428
    assert (await api.ask("GET", f"/routes/{name}")).body == newer


@pytest.mark.parametrize(
    ("fields", "field", "part"),
    [
        ({"colour": "red"}, "colour", "colour is not a field of a rule"),
        ({"targets": []}, "targets", "targets"),
        ({"condition": "event.total_chrage > 1"}, "condition", "total_charge"),
        ({"condition": "event.total_charge >\n > 1"}, "condition", "line 2 column 2"),
        ({"targets": ["canonical.claim"]}, "targets", "go round"),
        ({"source": "canonical.unheard", "condition": "event.x > 1"}, "source", "canonical.unheard-value"),
        ({"priority": 10**30}, "priority", "priority"),
        ({"name": "export"}, "name", "choose another name"),
    ],
    ids=["unknown", "targets", "typo", "syntax", "circle", "schema", "large", "reserved"],
)
async def test_a_bad_rule_is_refused_by_field(
    api: Api, fields: dict[str, Any], field: str, part: str, unique: Callable[[str], str]
) -> None:
    """422 with the field, for an expression also line and column, and what would be right."""
    name = unique("refused")
    refused = await api.ask("POST", "/routes", {**a_rule(name), **fields})
    assert (refused.status, refused.body["field"]) == (422, field)
    assert part in refused.body["detail"]
    assert "\n" not in refused.body["detail"]
    if field == "condition":
        assert refused.body["line"] >= 1
        assert refused.body["column"] >= 1
    assert (await api.ask("GET", f"/routes/{name}")).status == 404


async def test_rules_that_go_round_together_are_refused(api: Api, unique: Callable[[str], str]) -> None:
    """The second of two that send events in a circle, with the way; a draft of it may be kept."""
    one, two, topic = unique("there"), unique("back"), unique("team.round")
    back = {"source": topic, "targets": ["canonical.claim"], "condition": "true"}
    assert (await api.ask("POST", "/routes", a_rule(one, targets=[topic]))).status == 201
    refused = await api.ask("POST", "/routes", a_rule(two, **back))
    assert refused.status == 422
    assert f"({one})" in refused.body["detail"]
    assert f"({two})" in refused.body["detail"]
    assert (await api.ask("POST", "/routes", a_rule(two, **back, state="draft"))).status == 201
    assert (await api.ask("POST", f"/routes/{two}/resume")).status == 422


@pytest.mark.parametrize(
    ("body", "media_type", "status", "part"),
    [
        (b"{", "application/json", 400, "the body is not JSON"),
        (b"[]", "application/json", 400, "must be a JSON object"),
        (b"[" * 100_000, "application/json", 400, "nested too deeply"),
        (b"{}", "text/plain", 415, "Content-Type must be application/json"),
        (b'{"name": "' + b"x" * (2 << 20) + b'"}', "application/json", 413, "exceeded"),
        (b'{"name": "\\ud800"}', "application/json", 400, "the body is not JSON"),
        (b'{"name": 5}', "application/json", 422, "name"),
        (b"{}", "application/json", 422, "name is required"),
    ],
    ids=["broken", "list", "deep", "type", "large", "surrogate", "number", "empty"],
)
async def test_a_bad_body_is_refused(api: Api, body: bytes, media_type: str, status: int, part: str) -> None:
    """Whatever is in it, with what is wrong."""
    refused = await api.send("POST", "/routes", body, media_type)
    assert (refused.status, part in refused.body["detail"]) == (status, True), refused.body


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/routes?colour=red", "colour"),
        ("/routes?limit=0", "limit"),
        ("/routes?limit=9999", "limit"),
        ("/routes?owner=a&owner=b", "owner"),
        ("/routes/x?owner=a", "owner"),
        ("/routes/x/diff?from=1", "to"),
        ("/routes/x/diff?from=-1&to=2", "from"),
        ("/audit/routes?before=x", "before"),
    ],
)
async def test_a_bad_parameter_is_named(api: Api, path: str, field: str) -> None:
    """400 with the parameter."""
    refused = await api.ask("GET", path)
    assert (refused.status, refused.body["field"]) == (400, field)


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    """404 with the name, for every path."""
    for method, path in (
        ("GET", ""),
        ("GET", "/history"),
        ("GET", "/diff?from=1&to=2"),
        ("POST", "/pause"),
        ("POST", "/rollback?to=1"),
        ("DELETE", ""),
    ):
        missing = await api.ask(method, f"/routes/no-such-rule{path}")
        assert missing.status == 404
        assert "no-such-rule" in missing.body["detail"]
    assert (await api.ask("GET", "/audit/nothing")).status == 404
    assert (await api.ask("GET", "/nothing")).status == 404
    assert (await api.ask("DELETE", "/routes")).status == 405
