"""``eventfleet dead-letters``: what could not be processed, why, and where it came from."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import aclosing
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from fleet.cli.people import for_people, instant, new_console, printable, quiet_clients
from fleet.errors import FatalError
from fleet.lane.config import LaneConfig
from fleet.lane.dead_letters import PREFIX, reason_of
from fleet.lane.reading import read, read_one
from fleet.settings import settings
from schemas.catalogue import load_catalogue

TOPIC_PREFIX = "fleet.dead-letters."
CLAIM_CHECK = "claim_check"
DEFAULT_LIMIT = 50

app = typer.Typer(no_args_is_help=True)

AgentOption = Annotated[str | None, typer.Option("--agent", help="Only this agent's.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only those with this reason.")]


@app.command("list")
@for_people()
def list_letters(
    agent: AgentOption = None,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Show the newest N.")] = DEFAULT_LIMIT,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List dead letters, the newest last; payloads are never shown."""
    letters = [letter for letter in _letters(agent) if reason in (None, letter["reason"])]
    letters.sort(key=lambda letter: letter["failed_at_ms"])
    shown = letters[-limit:]
    if as_json:
        for letter in shown:
            typer.echo(orjson.dumps(letter))
        return
    console = new_console()
    if not letters:
        console.print("No dead letters.")
        return
    console.print(_table(shown))
    if len(shown) < len(letters):
        console.print(f"The newest {len(shown)} of {len(letters)}: see --limit.")


@app.command()
@for_people()
def count() -> None:
    """Count dead letters by agent and reason."""
    found = Counter((letter["agent"], letter["reason"]) for letter in _letters(None))
    table = Table("agent", "reason", "dead letters", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for (agent, reason), letters in sorted(found.items()):
        table.add_row(printable(agent), printable(reason), str(letters))
    new_console().print(table if found else "No dead letters.")


@app.command()
@for_people()
def show(
    agent: Annotated[str, typer.Argument(help="Agent that refused the record.")],
    partition: Annotated[int, typer.Argument(min=0, help="Partition of the dead letter.")],
    offset: Annotated[int, typer.Argument(min=0, help="Offset of the dead letter.")],
    *,
    payload: Annotated[
        bool, typer.Option("--payload", help="Write the original bytes to stdout, the rest to stderr.")
    ] = False,
) -> None:
    """Show one dead letter: why, where from, and the headers the record came with."""
    topic = _topics(agent)[0]
    config = LaneConfig.of(settings())
    quiet_clients()
    record = asyncio.run(read_one(config, topic, partition, offset))
    if record is None:
        message = f"no dead letter at {agent} {partition} {offset}"
        raise FatalError(message, hint="see `eventfleet dead-letters list`, column letter")
    typer.echo("\n".join(_details(record)), err=payload)
    if payload:
        _write(_original(config, record))


def _topics(agent: str | None) -> list[str]:
    names = [name for name in load_catalogue().topics if name.startswith(TOPIC_PREFIX)]
    if agent is None:
        return names
    if TOPIC_PREFIX + agent not in names:
        known = ", ".join(name.removeprefix(TOPIC_PREFIX) for name in names)
        raise FatalError(f"no agent {agent!r} has dead letters", hint=f"use one of {known}")
    return [TOPIC_PREFIX + agent]


def _letters(agent: str | None) -> list[dict[str, Any]]:
    quiet_clients()
    return asyncio.run(_read(LaneConfig.of(settings()), _topics(agent)))


async def _read(config: LaneConfig, topics: list[str]) -> list[dict[str, Any]]:
    async with aclosing(read(config, topics)) as records:
        return [_letter(record) async for record in records]


def _letter(record: Any) -> dict[str, Any]:
    why = reason_of(record.headers)
    return {
        "agent": why.get("agent", record.topic.removeprefix(TOPIC_PREFIX)),
        "partition": record.partition,
        "offset": record.offset,
        "failed_at_ms": record.timestamp,
        "reason": why.get("reason", ""),
        "step": why.get("step", ""),
        "detail": why.get("detail", ""),
        "source_topic": why.get("topic", ""),
        "source_partition": _number(why.get("partition")),
        "source_offset": _number(why.get("offset")),
        "source_timestamp_ms": _number(why.get("timestamp")),
    }


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None


def _table(letters: list[dict[str, Any]]) -> Table:
    table = Table("when", "agent", "letter", "reason", "step", "source", "detail", box=None, pad_edge=False)
    for column in table.columns[:5]:
        column.no_wrap = True
    table.columns[5].overflow = table.columns[6].overflow = "fold"
    for letter in letters:
        source = "/".join(str(letter[f"source_{part}"]) for part in ("topic", "partition", "offset"))
        place = f"{letter['partition']} {letter['offset']}"
        texts = (letter["agent"], place, letter["reason"], letter["step"], source, letter["detail"])
        table.add_row(instant(letter["failed_at_ms"]), *(printable(text) for text in texts))
    return table


def _details(record: Any) -> list[str]:
    why = reason_of(record.headers)
    own = {
        name: value
        for name, value in why.items()
        if name not in ("topic", "partition", "offset", "timestamp")
    }
    source = f"{why.get('topic')}/{why.get('partition')}/{why.get('offset')}"
    published = _number(why.get("timestamp"))
    lines = {
        "failed at": instant(record.timestamp),
        **own,
        "source": source if published is None else f"{source}, published {instant(published)}",
        "key": _text(record.key),
        "payload": "none kept: see the source" if CLAIM_CHECK in why else f"{len(record.value or b'')} bytes",
    }
    original = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    width = max(map(len, [*lines, *(name for name, _ in original)])) + 2
    return [
        *(f"{printable(name):{width}}{printable(value)}" for name, value in lines.items()),
        *(["", "headers of the record"] if original else []),
        *(f"{printable(name):{width}}{_text(value)}" for name, value in original),
    ]


def _text(content: bytes | None) -> str:
    return "(none)" if content is None else printable(content.decode(errors="backslashreplace"))


def _original(config: LaneConfig, record: Any) -> bytes:
    """Return the payload; one too large for its dead letter is read where it came from."""
    why = reason_of(record.headers)
    if CLAIM_CHECK not in why:
        return record.value or b""
    source = asyncio.run(read_one(config, why["topic"], int(why["partition"]), int(why["offset"])))
    if source is None:
        where = f"{why['topic']}/{why['partition']}/{why['offset']}"
        raise FatalError(
            f"the payload stayed at {where}, which Kafka has deleted since", hint="ask its sender for it"
        )
    return source.value or b""


def _write(content: bytes) -> None:
    if sys.stdout.isatty():
        lines = content.decode(errors="backslashreplace").splitlines()
        typer.echo("\n".join(printable(line) for line in lines))
    else:
        typer.echo(content, nl=False)
