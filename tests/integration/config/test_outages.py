"""The API while a part is down: it says so, and writes nothing that it could not check."""

from __future__ import annotations

from collections.abc import Callable

from fleet.settings import Settings
from tests.support.api import Api, a_rule, open_api
from tests.support.stack import free_ports


async def test_without_the_registry_no_rule_is_saved_and_each_can_be_stopped(
    api: Api, stack_settings: Settings, unique: Callable[[str], str]
) -> None:
    """503 and nothing written; what needs no schema goes on: pausing, deleting, rules on attributes."""
    running, new, plain = unique("running"), unique("new"), unique("plain")
    await api.ask("POST", "/routes", a_rule(running))
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    async with open_api(stack_settings.model_copy(update={"registry_url": url})) as other:
        refused = await other.ask("POST", "/routes", a_rule(new))
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert f"no answer from the schema registry at {url}" in refused.body["detail"]
        assert (await other.ask("POST", f"/routes/{running}/pause")).status == 200
        assert (await other.ask("POST", f"/routes/{running}/resume")).status == 503
        assert (await other.ask("DELETE", f"/routes/{running}")).status == 200
        attributes = a_rule(plain, condition='attributes.region == "TX"')
        assert (await other.ask("POST", "/routes", attributes)).status == 201
    assert (await api.ask("GET", f"/routes/{new}")).status == 404
    assert len((await api.ask("GET", f"/routes/{running}/history")).body["versions"]) == 3
