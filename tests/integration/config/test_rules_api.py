"""Rules over HTTP: what each request does, and what it answers where it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.api import Api


def a_rule(name: str, **fields: Any) -> dict[str, Any]:
    """Return a rule as a team writes it."""
    plain = {"name": name, "owner": "finance", "source": "canonical.claim", "targets": ["finance.claims"]}
    return {**plain, "condition": "event.total_charge > 10", "state": "active", **fields}


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
