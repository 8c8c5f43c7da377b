"""``eventfleet aggregations``: the same aggregations by the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from fleet.settings import Settings
from tests.support.agents_cli import said
from tests.support.api import Api, an_aggregation


async def test_an_aggregation_by_the_command_line(
    api: Api, stack_settings: Settings, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """Imported, changed, switched, discarded, shown with its builds; what is refused is one line."""
    name, team, path = unique("cli"), unique("team"), tmp_path / "aggregations.yaml"
    for version, grace_ms in ((1, 0), (2, 5)):
        path.write_text(yaml.safe_dump([an_aggregation(name, owner=team, grace_ms=grace_ms)]))
        imported = await said(stack_settings, "aggregations", "import", str(path))
        assert imported == (0, f"{name}: version {version}\n")
    listed = (await said(stack_settings, "aggregations", "list", "--owner", team))[1]
    assert "1*, 2" in listed
    code, line = await said(stack_settings, "aggregations", "discard", name, "1")
    assert (code, line.count("\n"), "switch to another build first" in line) == (1, 1, True)
    switched = await said(stack_settings, "aggregations", "switch", name, "2", "--reason", "by hand")
    assert switched == (0, f"{name}: version 3 (active)\n{name}: builds 1, 2* (* is served)\n")
    discarded = await said(stack_settings, "aggregations", "discard", name, "1", "--version", "3")
    assert discarded == (0, f"{name}: version 4 (active)\n{name}: builds 2* (* is served)\n")
    record = (await api.ask("GET", "/audit/aggregations", params={"name": name, "action": "switch"})).body
    assert record["records"][0]["reason"] == "by hand"
    assert record["records"][0]["actor"]["id"].startswith("cli:")
