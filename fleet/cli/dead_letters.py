"""``eventfleet dead-letters``: what could not be processed, why, and what is done about it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.table import Table

from api.dead_letters import contents
from api.services import Services
from fleet.cli.people import cli_actor, for_people, instant, new_console, printable, quiet_clients
from fleet.errors import FatalError
from fleet.settings import settings
from tables.dead_letters import Letter, LetterId, Selection
from tables.dead_letters.payload import GONE
from tables.dead_letters.service import MAX_PAGE, Contents

T = TypeVar("T")

DEFAULT_LIMIT = 50
TIMES = ("since", "until")
ONLY = ("step", "rule", "source", "state", *TIMES)

app = typer.Typer(no_args_is_help=True)

LetterName = Annotated[str, typer.Argument(metavar="LETTER", help="agent/partition/offset, as listed.")]
AgentOption = Annotated[str, typer.Option("--agent", help="Only this agent's.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Only those with this reason.")]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="NAME=VALUE",
        help="Only those with this step, rule, source, state; or since, until a time.",
    ),
]
Because = Annotated[str, typer.Option("--because", help="Why, for the audit.")]


@asynccontextmanager
async def opened() -> AsyncIterator[Services]:
    """Open the services, straight on Kafka."""
    quiet_clients()
    services = Services.of(settings())
    try:
        yield services
    finally:
        await services.close()


def run(work: Callable[[Services], Awaitable[T]]) -> T:
    """Do something with the services, and close them."""

    async def done() -> T:
        async with opened() as services:
            return await work(services)

    return asyncio.run(done())


def selection(agent: str, reason: str, only: list[str] | None) -> Selection:
    """Return which letters the options mean.

    Raises:
        FatalError: One of them makes no sense.
    """
    named: dict[str, Any] = {"agent": agent, "reason": reason}
    for each in only or ():
        name, found, value = each.partition("=")
        if not found or name not in ONLY:
            raise FatalError(f"--only {each} is no NAME=VALUE", hint=f"names are {', '.join(ONLY)}")
        if name in TIMES:
            named[f"{name}_ms"] = _epoch_ms(value)
        else:
            named[name] = value
    return Selection(**named)


def _epoch_ms(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise FatalError(f"{text!r} is no time", hint="write it as 2026-01-05T12:00:00Z") from None
    return int(found.astimezone(UTC).timestamp() * 1000)


@app.command("list")
@for_people()
def list_letters(
    agent: AgentOption = "",
    reason: ReasonOption = "",
    only: OnlyOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Show the newest N.")] = DEFAULT_LIMIT,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List dead letters, the newest last; payloads are never shown."""
    wanted = selection(agent, reason, only)
    shown, is_all = run(lambda services: _newest(services, wanted, limit))
    if as_json:
        for letter in shown:
            typer.echo(msgspec.json.encode(letter))
        return
    console = new_console()
    if not shown:
        console.print("No dead letters.")
        return
    console.print(_table(shown))
    if not is_all:
        console.print(f"The newest {len(shown)}: there are more, see --limit.")


async def _newest(services: Services, wanted: Selection, limit: int) -> tuple[list[Letter], bool]:
    """Return the newest letters, the newest last, and whether these are all."""
    found: list[Letter] = []
    after = ""
    while len(found) <= limit:
        most = min(limit + 1 - len(found), MAX_PAGE)
        page = await services.dead_letters.page(wanted, cli_actor(), after=after, limit=most)
        found += page.letters
        after = page.after
        if not after:
            break
    return found[:limit][::-1], len(found) <= limit


@app.command()
@for_people()
def count(
    agent: AgentOption = "",
    reason: ReasonOption = "",
    only: OnlyOption = None,
) -> None:
    """Count dead letters by agent and reason."""
    wanted = selection(agent, reason, only)
    found = run(lambda services: services.dead_letters.count(wanted, cli_actor()))
    table = Table("agent", "reason", "dead letters", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for (whose, why), letters in sorted(found.items()):
        table.add_row(printable(whose), printable(why), str(letters))
    new_console().print(table if found else "No dead letters.")


@app.command()
@for_people()
def show(
    letter: LetterName,
    *,
    payload: Annotated[
        bool, typer.Option("--payload", help="Write the original bytes to stdout, the rest to stderr.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Key, payload and headers as `edit --file` takes them.")
    ] = False,
    because: Because = "",
) -> None:
    """Show one dead letter: why, where from, and what the record came with; the audit says who looked."""
    where = LetterId.parse(letter)
    found = run(lambda services: services.dead_letters.look(where, cli_actor(), because))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(contents(found)), indent=2))
        return
    typer.echo("\n".join(_details(found)), err=payload)
    if payload and found[2].format == GONE:
        raise FatalError(str(found[2].content))
    if payload:
        _write(found[1].value or b"")


def _table(letters: list[Letter]) -> Table:
    table = Table("when", "letter", "state", "reason", "step", "source", "detail", box=None, pad_edge=False)
    for column in table.columns[:5]:
        column.no_wrap = True
    table.columns[5].overflow = table.columns[6].overflow = "fold"
    for letter in letters:
        texts = (letter.id.name, letter.state, letter.reason, letter.step, _source(letter), letter.detail)
        table.add_row(instant(letter.failed_at_ms), *(printable(text) for text in texts))
    return table


def _source(letter: Letter) -> str:
    return f"{letter.source_topic}/{letter.source_partition}/{letter.source_offset}"


def _details(found: Contents) -> list[str]:
    letter, content, payload = found
    source, published = _source(letter), letter.source_timestamp_ms
    size = f"{len(content.value or b'')} bytes"
    place = f", kept at the {letter.payload_at}" if letter.payload_at else ""
    acted = f"{letter.state} at {letter.acted_at} by {letter.acted_by}" if letter.acted_at else letter.state
    lines = {
        "failed at": instant(letter.failed_at_ms),
        "state": acted,
        **{name: getattr(letter, name) for name in ("reason", "step", "detail", "agent")},
        **({"rule": letter.rule} if letter.rule else {}),
        **({"copy of": letter.copy_of} if letter.copy_of else {}),
        "attempt": str(letter.attempt),
        "source": source if published is None else f"{source}, published {instant(published)}",
        "key": _text(content.key),
        "payload": str(payload.content) if payload.format == GONE else size + place,
    }
    width = max(map(len, [*lines, *(name for name, _ in content.headers)])) + 2
    return [
        *(f"{printable(name):{width}}{printable(value)}" for name, value in lines.items()),
        *(["", "headers of the record"] if content.headers else []),
        *(f"{printable(name):{width}}{_text(value)}" for name, value in content.headers),
    ]


def _text(content: bytes | None) -> str:
    return "(none)" if content is None else printable(content.decode(errors="backslashreplace"))


def _write(content: bytes) -> None:
    if sys.stdout.isatty():
        lines = content.decode(errors="backslashreplace").splitlines()
        typer.echo("\n".join(printable(line) for line in lines))
    else:
        typer.echo(content, nl=False)
