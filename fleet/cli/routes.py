"""``eventfleet routes``: read and change the routing rules, live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from api.services import Services
from fleet.cli.people import cli_actor, new_console, printable, quiet_clients
from fleet.errors import FatalError
from fleet.settings import Settings, settings
from tables.definitions import Definitions
from tables.documents import Document, dump, load_list
from tables.history import diff, history, rollback
from tables.importing import UNCHANGED, Step, export, import_all, parsed
from tables.kinds import MAX_PAGE, Filter
from tables.routes.kind import TOPIC, Routes, parse

__all__ = ["TOPIC", "app", "apply_rules", "load"]

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True)
console = new_console()

Name = Annotated[str, typer.Argument(help="Name of the rule.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit.")]
Expected = Annotated[
    int | None, typer.Option("--version", min=1, help="Refuse unless this is the current version.")
]
Owner = Annotated[str, typer.Option(help="Only rules of this team.")]
Source = Annotated[str, typer.Option(help="Only rules of this event type or pattern.")]
State = Annotated[str, typer.Option(help="Only rules in this state; deleted ones are shown only if named.")]
Text = Annotated[str, typer.Option(help="Only rules with this text in them.")]


@asynccontextmanager
async def rules(config: Settings | None = None) -> AsyncIterator[Definitions]:
    """Open the rules, straight on Kafka."""
    quiet_clients()
    services = Services.of(config or settings())
    try:
        yield services.routes
    finally:
        await services.close()


async def _with_rules(work: Any, *arguments: Any, **options: Any) -> Any:
    async with rules() as definitions:
        return await work(definitions, *arguments, **options)


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@app.command("list")
def list_rules(owner: Owner = "", source: Source = "", state: State = "", text: Text = "") -> None:
    """List the rules as they stand in the table."""
    wanted = Filter(owner=owner, source=source, state=state, text=text)
    found, refused = _run(_all(wanted))
    table = Table("rule", "version", "state", "owner", "source", "condition", "targets")
    for each in found:
        cells = (each[name] for name in ("state", "owner", "source", "condition"))
        table.add_row(each["name"], str(each["version"]), *cells, ", ".join(each["targets"]))
    for name, why in sorted(refused.items()):
        table.add_row(printable(name), "", "refused", "", "", printable(why), "")
    console.print(table)


async def _all(wanted: Filter) -> tuple[list[Document], dict[str, str]]:
    found: list[Document] = []
    async with rules() as definitions:
        page = await definitions.page(wanted, limit=MAX_PAGE)
        found += page.items
        while page.after:
            page = await definitions.page(wanted, after=page.after, limit=MAX_PAGE)
            found += page.items
    return found, page.refused


@app.command()
def get(name: Name) -> None:
    """Show one rule as YAML, with its version and state."""
    typer.echo(dump(_run(_with_rules(Definitions.get, name))), nl=False)


@app.command("export")
def export_rules(owner: Owner = "", source: Source = "", state: State = "", text: Text = "") -> None:
    """Write the rules as YAML to stdout, in the order of their names, for `import`."""
    wanted = Filter(owner=owner, source=source, state=state, text=text)
    typer.echo(_run(_with_rules(export, wanted)), nl=False)


@app.command("import")
@app.command("apply")
def apply_file(
    path: Annotated[
        Path, typer.Argument(help="YAML file with a list of rules.", exists=True, dir_okay=False)
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete what the owners in the file have beside it.")
    ] = False,
    reason: Reason = "",
) -> None:
    """Create or change the rules of a YAML file; a rule that is the same already is left alone.

    Versions count up by themselves. Nothing is changed if any rule is refused.
    """
    for step in _run(apply_rules(load(path), dry_run=dry_run, prune=prune, reason=reason)):
        would = "would be " if dry_run and step.action != UNCHANGED else ""
        console.print(f"{step.name}: {would}{what_became(step)}")


def what_became(step: Step) -> str:
    """Return what became of a rule, for people."""
    if step.action == UNCHANGED:
        return f"unchanged (version {step.version})"
    return f"version {step.version}" + (" (deleted)" if step.action == "delete" else "")


@app.command("history")
def show_history(name: Name) -> None:
    """List all versions of a rule, the newest first: who wrote each, when and why."""
    table = Table("version", "what", "when", "who", "state", "why")
    for each in _run(_with_rules(history, name)):
        who = str(each.actor.get("id", ""))
        state = str(each.document.get("state", ""))
        cells = (each.action, each.at, who, state, each.reason)
        table.add_row(str(each.version), *map(printable, cells))
    console.print(table)


@app.command("diff")
def show_diff(
    name: Name,
    old: Annotated[int, typer.Argument(min=1, help="A version.")],
    new: Annotated[int, typer.Argument(min=1, help="Another version.")],
) -> None:
    """Show what differs between two versions of a rule, as a unified diff of their YAML."""
    typer.echo(_run(_with_rules(diff, name, old, new)).text, nl=False)


@app.command("rollback")
def roll_back(
    name: Name,
    to: Annotated[int, typer.Argument(min=1, help="The version to go back to.")],
    version: Expected = None,
    reason: Reason = "",
) -> None:
    """Write what an older version of a rule held as its next version; also brings back a deleted one."""
    _say(_run(_with_rules(rollback, name, to, version, cli_actor(), reason)))


@app.command()
def pause(name: Name, version: Expected = None, reason: Reason = "") -> None:
    """Let a rule route nothing until it is resumed."""
    _say(_run(_with_rules(Definitions.pause, name, version, cli_actor(), reason)))


@app.command()
def resume(name: Name, version: Expected = None, reason: Reason = "") -> None:
    """Make a draft or paused rule active."""
    _say(_run(_with_rules(Definitions.resume, name, version, cli_actor(), reason)))


@app.command()
def delete(name: Name, version: Expected = None, reason: Reason = "") -> None:
    """Delete a rule; its history stays, and a rollback brings it back."""
    _say(_run(_with_rules(Definitions.delete, name, version, cli_actor(), reason)))


def _say(document: Document) -> None:
    console.print(f"{document['name']}: version {document['version']} ({document['state']})")


def load(path: Path) -> list[Document]:
    """Return the rules of a YAML file, each checked as far as that needs no schema and no table.

    Raises:
        FatalError: The file cannot be read.
        InvalidInputError: The file is not a list of rules.
        RuleError: A rule is refused; names rule, field, position and reason.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FatalError(f"{path} cannot be read: {error.strerror}") from error
    found = load_list(text, source=str(path), of="rules")
    parsed(parse, Routes.noun, found)
    return found


async def apply_rules(
    wanted: list[Document],
    config: Settings | None = None,
    *,
    dry_run: bool = False,
    prune: bool = False,
    reason: str = "",
) -> list[Step]:
    """Write the rules that differ from the table's, each as the next version of its name."""
    async with rules(config) as definitions:
        return await import_all(definitions, wanted, cli_actor(), dry_run=dry_run, prune=prune, reason=reason)
