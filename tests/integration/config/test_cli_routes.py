"""``eventfleet routes`` and ``eventfleet keys``: the same rules by the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from fleet.settings import Settings
from tests.support.agents_cli import said as run
from tests.support.api import Api, a_rule


async def test_a_rule_by_the_command_line(
    api: Api, stack_settings: Settings, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """Imported, shown, paused, rolled back, deleted, exported; the audit names the user of the shell."""
    name, team, path = unique("cli"), unique("team"), tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump([a_rule(name, owner=team)]))
    planned = await run(stack_settings, "routes", "import", str(path), "--dry-run")
    assert planned == (0, f"{name}: would be version 1\n")
    assert (await api.ask("GET", f"/routes/{name}")).status == 404
    said = await run(stack_settings, "routes", "import", str(path), "--reason", "by hand")
    assert said == (0, f"{name}: version 1\n")
    paused = await run(stack_settings, "routes", "pause", name, "--version", "1")
    assert paused == (0, f"{name}: version 2 (paused)\n")
    code, line = await run(stack_settings, "routes", "resume", name, "--version", "1")
    assert (code, line.count("\n"), "is at version 2, not 1" in line) == (1, 1, True)
    diff = (await run(stack_settings, "routes", "diff", name, "1", "2"))[1]
    assert "-  state: active\n+  state: paused\n".replace("  ", "") in diff
    assert (await run(stack_settings, "routes", "rollback", name, "1"))[1] == f"{name}: version 3 (active)\n"
    exported = (await run(stack_settings, "routes", "export", "--owner", team))[1]
    assert yaml.safe_load(exported) == [a_rule(name, owner=team)]
    assert (await run(stack_settings, "routes", "delete", name))[1] == f"{name}: version 4 (deleted)\n"
    history = (await run(stack_settings, "routes", "history", name))[1]
    assert [line.split()[1] for line in history.splitlines() if " cli:" in line] == ["4", "3", "2", "1"]
    assert "by hand" in history
    shown = (await run(stack_settings, "routes", "get", name))[1]
    assert yaml.safe_load(shown)["state"] == "deleted"


async def test_a_key_by_the_command_line(stack_settings: Settings, api: Api) -> None:
    """Made and shown once, it opens the API; listed without its secret; revoked, it opens nothing."""
    code, token = await run(stack_settings, "keys", "create", "--team", "finance", "--role", "viewer")
    assert code == 0
    assert (await api.known("GET", "/routes", None, token=token.strip())).status == 200
    key_id, secret = token.strip().split("_", 2)[1:]
    listed = (await run(stack_settings, "keys", "list"))[1]
    assert key_id in listed
    assert secret not in listed
    assert await run(stack_settings, "keys", "revoke", key_id) == (0, f"{key_id}: revoked\n")
    code, line = await run(stack_settings, "keys", "revoke", "nobody")
    assert (code, line) == (1, "eventfleet: no key 'nobody': see `eventfleet keys list`\n")
