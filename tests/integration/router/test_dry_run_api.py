"""Dry-runs over HTTP, at a router worker and through the gateway, and by the command line."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleet.settings import Settings
from tables.access import Role
from tests.support.agents_cli import eventfleet
from tests.support.api import Answer, Api, open_api
from tests.support.lane_processes import Worker
from tests.support.polling import until
from tests.support.router_claims import CANONICAL, Published
from tests.support.router_runs import LIMIT_S, open_runs
from tests.support.stack import free_ports

DRAFT: dict[str, Any] = {
    "name": "urgent-claims",
    "owner": "team",
    "source": CANONICAL,
    "condition": "attributes.priority == 'urgent' && event.total_charge > 500",
    "targets": ["team.urgent-claims"],
    "projection": {"keep": ["claim_id"], "compute": {"charge": "event.total_charge * 2"}},
}


async def ended(api: Api, path: str) -> dict[str, Any]:
    """Wait for the end of a dry-run."""

    async def found() -> dict[str, Any] | None:
        answer = await api.ask("GET", path)
        assert answer.status == 200, answer.body
        return None if answer.body["status"] == "running" else dict(answer.body)

    run = await until(found, LIMIT_S, f"the end of {path}")
    assert run is not None
    return run


async def test_a_draft_is_tried_through_the_gateway(api: Api, worker: Worker, published: Published) -> None:
    """202 with a Location, then progress and the report; a projection that nobody has saved is tried too."""
    begun = await api.ask("POST", "/dry-runs", {"rules": [DRAFT]})
    assert (begun.status, begun.body["status"]) == (202, "running")
    path = begun.headers["Location"].removeprefix("/v1")
    run = await ended(api, path)
    assert (run["status"], run["request"]) == ("done", {"rules": [DRAFT]})
    assert run["owner"] == f"router at http://127.0.0.1:{worker.port}"
    report = run["report"]
    wanted = sum(
        dict(each.headers)["ce_priority"] == b"urgent" for each in published.claims
    )  # Half of them charge less.
    assert 0 < report["diff"]["gained"] < wanted
    assert report["targets"]["team.urgent-claims"]["after"] == report["diff"]["gained"]
    assert report["errors"]["after"]["total"] == 0
    listed = (await api.ask("GET", "/dry-runs")).body["items"]
    assert run["id"] in [each["id"] for each in listed]
    assert all("report" not in each for each in listed)


async def test_a_stored_draft_is_tried_by_its_name(api: Api, worker: Worker) -> None:
    """Saved as a draft, a rule is tried as it would be once it is active; active ones are refused."""
    del worker
    made = await api.ask("POST", "/routes", {**DRAFT, "name": "stored-draft", "state": "draft"})
    assert made.status == 201, made.body
    begun = await api.ask("POST", "/dry-runs", {"rules": ["stored-draft"], "sample": 0.01})
    run = await ended(api, begun.headers["Location"].removeprefix("/v1"))
    assert "stored-draft@2" in run["report"]["rules"]["after"]
    assert "stored-draft@2" not in run["report"]["rules"]["before"]
    await api.ask("POST", "/routes/stored-draft/resume")
    refused = await api.ask("POST", "/dry-runs", {"rules": ["stored-draft"]})
    assert (refused.status, refused.body["field"]) == (400, "rules")
    await api.ask("DELETE", "/routes/stored-draft")


@pytest.mark.parametrize(
    ("content", "status", "part"),
    [
        ({}, 400, "nothing would change"),
        ({"rules": [DRAFT], "sample": 2}, 400, "sample: "),
        ({"rules": [DRAFT], "since": "yesterday"}, 400, "since: "),
        ({"rules": [DRAFT], "tpoics": []}, 400, "tpoics"),
        ({"rules": [DRAFT], "topics": ["fleet.audit.keys"]}, 400, "does not read 'fleet.audit.keys'"),
        ({"rules": ["no-such-rule"]}, 404, "no rule 'no-such-rule'"),
        ({"rules": [{**DRAFT, "condition": "event.total_chrage > 1"}]}, 422, "did you mean 'total_charge'?"),
        ({"rules": [{**DRAFT, "condition": "event.total_charge >"}]}, 422, "line 1 column"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    content: dict[str, Any], status: int, part: str, api: Api, worker: Worker
) -> None:
    """Before anything begins, with the field and the place."""
    del worker
    answer = await api.ask("POST", "/dry-runs", content)
    assert answer.status == status, answer.body
    assert part in answer.body["detail"]


async def test_only_those_who_may_change_rules_try_them(api: Api, worker: Worker) -> None:
    """A viewer may look, a developer may try, nobody without a key may do either; all through the gateway."""
    del worker
    viewer, developer = await api.key("team", Role.VIEWER), await api.key("team", Role.DEVELOPER)
    asked: dict[str, Any] = {"rules": [DRAFT], "sample": 0.001}
    assert (await api.ask("POST", "/dry-runs", asked, token=viewer)).status == 403
    assert (await api.ask("GET", "/dry-runs", token=viewer)).status == 200
    assert (await api.ask("GET", "/dry-runs", token=viewer[:-1])).status == 401
    begun = await api.ask("POST", "/dry-runs", asked, token=developer)
    path = begun.headers["Location"].removeprefix("/v1")
    assert (await api.ask("DELETE", path, token=viewer)).status == 403
    assert (await ended(api, path))["by"].startswith("key:")
    assert (await api.ask("GET", "/dry-runs/none")).status == 404


async def test_a_run_is_cancelled_over_http(api: Api, worker: Worker) -> None:
    """DELETE ends it, and says so; its process is gone at once."""
    del worker
    begun = await api.ask("POST", "/dry-runs", {"rules": [DRAFT]})
    path = begun.headers["Location"].removeprefix("/v1")
    answer: Answer = await api.ask("DELETE", path)
    assert (answer.status, answer.body["status"]) == (200, "cancelled")


async def test_without_a_router_the_gateway_says_so(stack_settings: Settings) -> None:
    """503 with Retry-After and what to do; a request that was sent on already is not sent on again."""
    lonely = stack_settings.model_copy(update={"router_port": free_ports(1)[0]})
    async with open_api(lonely) as api:
        answer = await api.ask("GET", "/dry-runs")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "start one with `eventfleet worker router`" in answer.body["detail"]
        looped = await api.ask("GET", "/dry-runs", headers={"X-Fleet-Gateway": "1"})
        assert looped.status == 508


def rules_file(folder: Path) -> Path:
    """Write a file with the draft."""
    path = folder / "rules.yaml"
    path.write_text(json.dumps([DRAFT]))
    return path


async def test_the_command_line_tries_a_file(
    stack_settings: Settings, published: Published, tmp_path: Path
) -> None:
    """Without any worker: a report for people, and as JSON."""
    arguments = ["routes", "dry-run", str(rules_file(tmp_path))]
    out, err = await asyncio.to_thread(eventfleet(stack_settings, *arguments).communicate, timeout=LIMIT_S)
    assert err == ""
    assert f"{len(published.claims):,} events read" in out
    assert "team.urgent-claims" in out
    assert "Topic team.urgent-claims does not exist" in out
    process = eventfleet(stack_settings, *arguments, "--json", "--from-offset", "5", "--until-offset", "7")
    out, err = await asyncio.to_thread(process.communicate, timeout=LIMIT_S)
    assert err == ""
    assert json.loads(out)["read"] == 12


async def test_ctrl_c_cancels(stack_settings: Settings, published: Published, tmp_path: Path) -> None:
    """The command ends with 130, its process with it, and everybody sees that the run is cancelled."""
    del published
    async with open_runs(stack_settings, "reader") as reader:
        known = {run.id for run in await reader.all()}
        process = eventfleet(stack_settings, "routes", "dry-run", str(rules_file(tmp_path)))

        async def begun() -> str | None:
            return next((run.id for run in await reader.all() if run.id not in known), None)

        run_id = await until(begun, LIMIT_S, "the run")
        assert run_id is not None
        process.send_signal(signal.SIGINT)
        assert await code(process) == 130

        async def cancelled() -> bool:
            return (await reader.get(run_id)).status == "cancelled"

        await until(cancelled, LIMIT_S, "the end of the run")


async def code(process: subprocess.Popen[str]) -> int:
    """Wait for the end of a process."""
    await asyncio.to_thread(process.communicate, timeout=LIMIT_S)
    return int(process.returncode)
