"""``eventfleet aggregations``: read and change the aggregations and their builds, live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli.definitions import Commands, Expected, Name, Reason, console, say
from fleet.cli.people import cli_actor
from tables.aggregations.acting import discard, switch
from tables.aggregations.kind import Aggregations, parse

if TYPE_CHECKING:
    from tables.documents import Document


def _builds(aggregation: Document) -> str:
    """Return the numbers of the builds, a star at the one that is served."""
    numbers = (each["number"] for each in aggregation["builds"])
    return ", ".join(f"{number}{'*' * (number == aggregation['serving'])}" for number in numbers)


COMMANDS = Commands(
    noun=Aggregations.noun,
    of=lambda services: services.aggregations,
    parse=parse,
    columns={
        "sources": lambda one: ", ".join(one["sources"]),
        "windows": lambda one: str(one["windows"]["kind"]),
        "builds": _builds,
        "topic": lambda one: str(one["output"]["topic"]),
        "paused because": lambda one: str(one["paused_because"]),
    },
    when_active="aggregate",
)

app = COMMANDS.app()

Build = Annotated[int, typer.Argument(min=1, help="Number of a build, see `list`.")]


@app.command("switch")
def switch_build(name: Name, to: Build, version: Expected = None, reason: Reason = "") -> None:
    """Serve another build of an aggregation: it is queried and written from then on."""
    _say(COMMANDS.run(switch, name, to, version, cli_actor(), reason))


@app.command("discard")
def discard_build(name: Name, build: Build, version: Expected = None, reason: Reason = "") -> None:
    """Drop a build of an aggregation that is not served, with its state."""
    _say(COMMANDS.run(discard, name, build, version, cli_actor(), reason))


def _say(aggregation: Document) -> None:
    say(aggregation)
    console.print(f"{aggregation['name']}: builds {_builds(aggregation)} (* is served)")
