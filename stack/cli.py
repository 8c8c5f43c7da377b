"""Commands of the embedded stack: `eventfleet stack up|down|status|doctor`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from fleet.errors import EventfleetError
from fleet.settings import settings
from stack.doctor import diagnose
from stack.embedded import EmbeddedStack

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(no_args_is_help=True, help="The embedded local Kafka and schema registry.")

_STATE_STYLE = {"up": "green", "starting": "yellow", "down": "red"}


@app.command()
def up() -> None:
    """Start Kafka and the schema registry, or reuse them; they keep running."""
    with _errors_in_one_line():
        EmbeddedStack(settings()).up()


@app.command()
def down(
    *, wipe: Annotated[bool, typer.Option("--wipe", help="Also remove topics, schemas and logs.")] = False
) -> None:
    """Stop Kafka and the schema registry."""
    with _errors_in_one_line():
        stack = EmbeddedStack(settings())
        stopped = stack.down()
        for title in stopped:
            typer.echo(f"{title} stopped")
        if wipe:
            stack.wipe()
            typer.echo(f"Removed the data in {stack.paths.root} (downloads stay)")
        elif not stopped:
            typer.echo("Nothing was up")


@app.command()
def status() -> None:
    """Show what is up; exits 1 unless everything is."""
    with _errors_in_one_line():
        parts = EmbeddedStack(settings()).status()
    table = Table("part", "state", "endpoint", "pid", Column("log", overflow="fold"), box=None)
    for column in table.columns[:-1]:
        column.no_wrap = True
    for part in parts:
        state = f"[{_STATE_STYLE[part.state]}]{part.state}[/]"
        table.add_row(part.title, state, part.endpoint, str(part.pid or ""), str(part.log))
    Console().print(table)
    if any(part.state != "up" for part in parts):
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Check what the stack needs, with the command that mends each lack; exits 1 on a lack."""
    console = Console(soft_wrap=True, highlight=False)
    lacking = False
    with _errors_in_one_line():
        for check in diagnose(EmbeddedStack(settings())):
            mark = "[green]OK     [/]" if check.ok else "[red]MISSING[/]"
            mend = "" if check.ok else f"  ->  {check.mend}"
            console.print(f"{mark} {check.subject}: ", end="")
            console.print(f"{check.detail}{mend}", markup=False)
            lacking = lacking or not check.ok
    if lacking:
        raise typer.Exit(1)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except EventfleetError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
