"""The commands of ``eventfleet routes`` and ``eventfleet aggregations``: definitions read and changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

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

console = new_console()

Name = Annotated[str, typer.Argument(help="Its name.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit.")]
Expected = Annotated[
    int | None, typer.Option("--version", min=1, help="Refuse unless this is the current version.")
]
Owner = Annotated[str, typer.Option(help="Only those of this team.")]
Source = Annotated[str, typer.Option(help="Only those of this event type or pattern.")]
State = Annotated[str, typer.Option(help="Only those in this state; deleted ones are shown only if named.")]
Text = Annotated[str, typer.Option(help="Only those with this text in them.")]
AVersion = Annotated[int, typer.Argument(min=1, help="A version.")]
ListFile = Annotated[Path, typer.Argument(help="YAML file with a list.", exists=True, dir_okay=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what the owners in the file have beside it.")]


@dataclass(frozen=True, kw_only=True)
class Commands:
    """The commands about definitions of one kind.

    Attributes:
        noun: What people call one.
        of: Gives the definitions out of the services.
        parse: Checks one as far as that needs no schema and no table.
        columns: What a list shows beside name, version, state and owner, by heading.
        when_active: What an active one does, e.g. ``route``.
    """

    noun: str
    of: Callable[[Services], Definitions]
    parse: Callable[[Mapping[str, Any]], Document]
    columns: Mapping[str, Callable[[Document], str]]
    when_active: str

    def app(self) -> typer.Typer:
        """Return the commands, ready to be mounted."""
        app = typer.Typer(no_args_is_help=True)
        for name, (command, text) in self._named().items():
            app.command(name, help=text)(command)
        return app

    def _named(self) -> dict[str, tuple[Callable[..., None], str]]:
        one = f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"
        return {
            "list": (self.show_all, f"List the {self.noun}s as they stand in the table."),
            "get": (self.get, f"Show {one} as YAML, with its version and state."),
            "export": (self.export, f"Write {self.noun}s as YAML to stdout, by name, for `import`."),
            "import": (self.apply, _APPLY.format(noun=self.noun)),
            "apply": (self.apply, "The same as `import`."),
            "history": (self.history, f"List all versions of {one}, the newest first: who, when and why."),
            "diff": (self.diff, f"Show what differs between two versions of {one}, as a unified diff."),
            "rollback": (
                self.rollback,
                f"Write an older version of {one} as the next; also a deleted one's.",
            ),
            "pause": (self.pause, f"Let {one} {self.when_active} nothing until it is resumed."),
            "resume": (self.resume, f"Make a draft or paused {self.noun} active."),
            "delete": (self.delete, f"Delete {one}; its history stays, and a rollback brings it back."),
        }

    @asynccontextmanager
    async def opened(self, config: Settings | None = None) -> AsyncIterator[Definitions]:
        """Open the definitions, straight on Kafka."""
        quiet_clients()
        services = Services.of(config or settings())
        try:
            yield self.of(services)
        finally:
            await services.close()

    def run(self, work: Any, *arguments: Any, **options: Any) -> Any:
        """Return what `work` gives for the definitions and these arguments."""

        async def ran() -> Any:
            async with self.opened() as definitions:
                return await work(definitions, *arguments, **options)

        return asyncio.run(ran())

    def show_all(self, owner: Owner = "", source: Source = "", state: State = "", text: Text = "") -> None:
        """Show a table of them, and the rows that are refused."""
        wanted = Filter(owner=owner, source=source, state=state, text=text)
        found, refused = self.run(_all, wanted)
        table = Table(self.noun, "version", "state", "owner", *self.columns)
        for each in found:
            shown = [column(each) for column in self.columns.values()]
            table.add_row(each["name"], str(each["version"]), each["state"], each["owner"], *shown)
        for name, why in sorted(refused.items()):
            empty = [""] * (len(self.columns) - 1)
            table.add_row(printable(name), "", "refused", "", printable(why), *empty)
        console.print(table)

    def get(self, name: Name) -> None:
        """Show one."""
        typer.echo(dump(self.run(Definitions.get, name)), nl=False)

    def export(self, owner: Owner = "", source: Source = "", state: State = "", text: Text = "") -> None:
        """Show all as a file holds them."""
        wanted = Filter(owner=owner, source=source, state=state, text=text)
        typer.echo(self.run(export, wanted), nl=False)

    def apply(
        self, path: ListFile, *, dry_run: DryRun = False, prune: Prune = False, reason: Reason = ""
    ) -> None:
        """Write those of a file that differ."""
        wanted = self.load(path)
        for step in self.run(import_all, wanted, cli_actor(), dry_run=dry_run, prune=prune, reason=reason):
            would = "would be " if dry_run and step.action != UNCHANGED else ""
            console.print(f"{step.name}: {would}{what_became(step)}")

    def history(self, name: Name) -> None:
        """Show all versions of one."""
        table = Table("version", "what", "when", "who", "state", "why")
        for each in self.run(history, name):
            who = str(each.actor.get("id", ""))
            state = str(each.document.get("state", ""))
            cells = (each.action, each.at, who, state, each.reason)
            table.add_row(str(each.version), *map(printable, cells))
        console.print(table)

    def diff(self, name: Name, old: AVersion, new: AVersion) -> None:
        """Show what differs between two versions."""
        typer.echo(self.run(diff, name, old, new).text, nl=False)

    def rollback(self, name: Name, to: AVersion, version: Expected = None, reason: Reason = "") -> None:
        """Go back to a version."""
        say(self.run(rollback, name, to, version, cli_actor(), reason))

    def pause(self, name: Name, version: Expected = None, reason: Reason = "") -> None:
        """Stop one."""
        say(self.run(Definitions.pause, name, version, cli_actor(), reason))

    def resume(self, name: Name, version: Expected = None, reason: Reason = "") -> None:
        """Start one."""
        say(self.run(Definitions.resume, name, version, cli_actor(), reason))

    def delete(self, name: Name, version: Expected = None, reason: Reason = "") -> None:
        """Delete one."""
        say(self.run(Definitions.delete, name, version, cli_actor(), reason))

    def load(self, path: Path) -> list[Document]:
        """Return the definitions of a YAML file, each checked as far as that needs no schema and no table.

        Raises:
            FatalError: The file cannot be read.
            InvalidInputError: The file is not a list of them.
            DefinitionError: One is refused; names it, field, position and reason.
        """
        try:
            text = path.read_bytes()
        except OSError as error:
            raise FatalError(f"{path} cannot be read: {error.strerror}") from error
        found = load_list(text, source=str(path), of=f"{self.noun}s")
        parsed(self.parse, self.noun, found)
        return found

    async def write(self, wanted: list[Document], config: Settings) -> list[Step]:
        """Write those that differ from the table's, each as the next version of its name."""
        async with self.opened(config) as definitions:
            return await import_all(definitions, wanted, cli_actor())


_APPLY = """Create or change the {noun}s of a YAML file; one that is the same already is left alone.

Versions count up by themselves. Nothing is changed if any {noun} is refused."""


async def _all(definitions: Definitions, wanted: Filter) -> tuple[list[Document], dict[str, str]]:
    page = await definitions.page(wanted, limit=MAX_PAGE)
    found = page.items
    while page.after:
        page = await definitions.page(wanted, after=page.after, limit=MAX_PAGE)
        found = found + page.items
    return found, page.refused


def what_became(step: Step) -> str:
    """Return what became of a definition, for people."""
    if step.action == UNCHANGED:
        return f"unchanged (version {step.version})"
    return f"version {step.version}" + (" (deleted)" if step.action == "delete" else "")


def say(document: Document) -> None:
    """Tell people what was written."""
    console.print(f"{document['name']}: version {document['version']} ({document['state']})")
