"""Commands as a person runs them, in this process: arguments in; exit code, stdout and stderr out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner, Result

from fleet.settings import Settings
from fleet.settings import settings as process_settings
from tests.support.stack import environment

if TYPE_CHECKING:
    import typer


def invoke(commands: typer.Typer, settings: Settings, *arguments: str, answer: str = "") -> Result:
    """Run a command with these settings in its environment.

    Args:
        commands: The commands.
        settings: What ``EVENTFLEET_*`` variables say.
        arguments: Command-line arguments.
        answer: What the person types.
    """
    process_settings.cache_clear()
    try:
        own = {name: value for name, value in environment(settings).items() if name.startswith("EVENTFLEET_")}
        return CliRunner().invoke(commands, list(arguments), env={**own, "COLUMNS": "240"}, input=answer)
    finally:
        process_settings.cache_clear()
