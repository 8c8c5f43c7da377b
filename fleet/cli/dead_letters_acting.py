"""``eventfleet dead-letters edit | redrive | purge``: what people do about dead letters."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import msgspec
import typer

from api.dead_letters import contents, converted
from fleet.cli.dead_letters import (
    AgentOption,
    Because,
    LetterName,
    OnlyOption,
    ReasonOption,
    app,
    run,
    selection,
)
from fleet.cli.people import cli_actor, for_people, new_console, printable
from fleet.errors import FatalError
from tables.dead_letters import LetterId, Selection
from tables.dead_letters.editing import Edit
from tables.dead_letters.jobs import DEFAULT_RATE, FAILED, Job

if TYPE_CHECKING:
    from api.services import Services
    from tables.dead_letters import Letter
    from tables.dead_letters.service import Outcome

Letters = Annotated[
    list[str] | None, typer.Argument(metavar="[LETTER]...", help="agent/partition/offset, as listed.")
]
All = Annotated[bool, typer.Option("--all", help="All that the options select.")]
__all__ = ["app"]

EDITED = ("key", "payload", "headers")

console = new_console()


@app.command()
@for_people()
def edit(
    letter: LetterName,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="JSON as `show --json` gives it, changed."),
    ] = None,
    *,
    redrive: Annotated[bool, typer.Option("--redrive", help="Send the copy to the agent at once.")] = False,
    because: Because = "",
) -> None:
    """Write a changed copy of a dead letter, by an editor where no file is given; the letter stays."""
    where = LetterId.parse(letter)

    async def edited(services: Services) -> Letter:
        letters, actor = services.dead_letters, cli_actor()
        if file is None:
            text = await asyncio.to_thread(_by_editor, contents(await letters.look(where, actor, because)))
        else:
            text = await asyncio.to_thread(file.read_bytes)
        copy = await letters.edit(where, _edit(text), actor, because)
        return await letters.redrive(copy.id, actor, because) if redrive else copy

    copy = run(edited)
    console.print(f"{where.name}: copied to {copy.id.name}" + (", redriven" if redrive else ""))


def _by_editor(shown: dict[str, Any]) -> bytes:
    document = {name: shown[name] for name in EDITED}
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    changed = click.edit(text, extension=".json")
    if changed is None or changed.strip() == text.strip():
        raise FatalError("nothing was changed", hint="no copy was written")
    return changed.encode()


def _edit(text: bytes) -> Edit:
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise FatalError(f"the file is not JSON: {error}", hint="see `show --json`") from None
    if not isinstance(document, dict):
        raise FatalError("the file holds no JSON object", hint="see `show --json`")
    return converted({name: document[name] for name in EDITED if name in document}, Edit)


@app.command()
@for_people()
def redrive(
    letters: Letters = None,
    agent: AgentOption = "",
    reason: ReasonOption = "",
    only: OnlyOption = None,
    rate: Annotated[float, typer.Option(help="Letters a second, at most.")] = DEFAULT_RATE,
    *,
    everything: All = False,
    because: Because = "",
) -> None:
    """Send open dead letters to their agents again, each once; stopped in the middle, ask again to go on."""
    wanted = _wanted(letters, selection(agent, reason, only), everything=everything)
    job = run(lambda services: _redriven(services, wanted, rate, because))
    console.print(f"{job.state}: {job.redriven} redriven, {job.skipped} skipped, {job.refused} refused")
    for name, why in job.reasons.items():
        console.print(f"  {name}: {printable(why)}")
    if job.state == FAILED:
        raise FatalError(job.error, hint="ask again: it goes on with those that are left")
    if job.refused:
        raise typer.Exit(1)


async def _redriven(services: Services, wanted: Selection | list[LetterId], rate: float, because: str) -> Job:
    jobs, actor = services.redrives, cli_actor()
    job = jobs.start(wanted, actor, rate=rate, reason=because)
    loop = asyncio.get_running_loop()
    # Ctrl-C ends it after the letters in hand, and what was done is said.
    loop.add_signal_handler(signal.SIGINT, lambda: loop.create_task(jobs.cancel(job.id, actor)))
    try:
        return await jobs.ended(job.id)
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@app.command()
@for_people()
def purge(
    because: Annotated[str, typer.Option("--because", help="Why, for the audit; needed.")],
    letters: Letters = None,
    agent: AgentOption = "",
    reason: ReasonOption = "",
    only: OnlyOption = None,
    *,
    everything: All = False,
) -> None:
    """Hide dead letters for good; Kafka keeps what is in them until their retention."""
    wanted = _wanted(letters, selection(agent, reason, only), everything=everything)

    async def purged(services: Services) -> Outcome:
        return await services.dead_letters.purge(wanted, cli_actor(), because)

    outcome = run(purged)
    console.print(f"{outcome.done} purged, {outcome.skipped} skipped")


def _wanted(
    letters: list[str] | None, selected: Selection, *, everything: bool
) -> Selection | list[LetterId]:
    """Return the letters that are meant: those named, or those selected, never all by mistake."""
    if letters and (everything or selected != Selection()):
        raise FatalError("letters are named and selected", hint="name them, or select them by options")
    if letters:
        return [LetterId.parse(each) for each in letters]
    if not everything and selected == Selection():
        raise FatalError("no letters are named", hint="name some, select by options, or give --all")
    return selected
