"""``eventfleet keys``: who may use the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from rich.table import Table

from fleet.cli.people import cli_actor, new_console, printable, quiet_clients
from fleet.lane.config import LaneConfig
from fleet.settings import Settings, settings
from tables.access import Role
from tables.keys import Issued, Key, Keys

app = typer.Typer(no_args_is_help=True)
console = new_console()


@asynccontextmanager
async def opened(config: Settings | None = None) -> AsyncIterator[Keys]:
    """Open the keys, straight on Kafka."""
    quiet_clients()
    keys = Keys(LaneConfig.of(config or settings()))
    try:
        yield keys
    finally:
        await keys.stop()


@app.command()
def create(
    team: Annotated[str, typer.Option(help="Team that the key acts for.")],
    role: Annotated[list[Role], typer.Option(help="Its role in that team; may be given several times.")],
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Make a key and print it: the only time that it is shown."""

    async def issued() -> Issued:
        async with opened() as keys:
            return await keys.issue(team, role, cli_actor(), description=description)

    typer.echo(asyncio.run(issued()).token)


@app.command("list")
def list_keys() -> None:
    """List the keys, without their secrets."""

    async def found() -> list[Key]:
        async with opened() as keys:
            return await keys.all()

    table = Table("id", "state", "team", "roles", "since", "for")
    for key in asyncio.run(found()):
        cells = (key.id, key.state, key.team, ", ".join(key.roles), key.created_at, key.description)
        table.add_row(*map(printable, cells))
    console.print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as listed.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "",
) -> None:
    """Let a key open nothing more."""

    async def revoked() -> Key:
        async with opened() as keys:
            return await keys.revoke(key_id, cli_actor(), reason)

    key = asyncio.run(revoked())
    console.print(f"{key.id}: {key.state}")
