"""How ``eventfleet state`` finds an app and its agents: no Kafka needed."""

from __future__ import annotations

import pytest

from fleet.cli.state import APPS
from fleet.cli.state import app as state_commands
from fleet.settings import Settings
from tests.support.commands import invoke
from tests.support.rekeying_worker import new_app


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "nothing",
            "no app 'nothing' (No module named 'nothing'): use router, aggregator, normalizer, or MODULE",
        ),
        (
            "tests.support.polling",
            "no app 'tests.support.polling' (module 'tests.support.polling' has no attribute",
        ),
        (
            "tests.support.stack:parts_dir",
            "tests.support.stack:parts_dir makes no LaneApp: name the function",
        ),
    ],
)
def test_an_app_that_is_not_there_is_one_line(name: str, why: str) -> None:
    """What was looked for, and what can be named."""
    refused = invoke(state_commands, Settings(), "show", name)
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"eventfleet: {why}")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [([], "the app has several agents"), (["--agent", "sum"], "the app has no agent 'sum'")],
)
def test_of_several_agents_one_has_to_be_named(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], why: str
) -> None:
    """The message lists them."""
    monkeypatch.setitem(APPS, "days", lambda: new_app("days", 6066, "charges"))
    refused = invoke(state_commands, Settings(), "skip", "days", "--partition", "0", "--yes", *arguments)
    assert refused.stderr == f"eventfleet: {why}: use --agent with one of re-key, sum-days\n"
