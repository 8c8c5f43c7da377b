"""``eventfleet routes dry-run``: what rules would do with the retained events, before they are saved."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.table import Table

from agents.router.app import sources_of
from agents.router.dry_run.asking import job_of
from agents.router.dry_run.plan import parse_request
from agents.router.dry_run.runs import RUNNING
from agents.router.dry_run.service import DryRuns
from api.services import Services
from fleet.cli.people import cli_actor, new_console, printable, quiet_clients
from fleet.errors import FatalError
from fleet.settings import settings
from tables.documents import load_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from agents.router.dry_run.job import Progress
    from agents.router.dry_run.runs import Run

POLL_S: Final = 0.2
SHOWN: Final = ("gained", "lost", "unchanged")

Given = Annotated[
    list[str] | None,
    typer.Argument(help="YAML files of rules, or names of stored rules that are not active."),
]
Without = Annotated[list[str] | None, typer.Option(help="Name of a rule that would not be there.")]
Since = Annotated[str | None, typer.Option(help="From the events published then, e.g. 2026-01-31T00:00:00Z.")]
Until = Annotated[str | None, typer.Option(help="To the events published before then.")]
FromOffset = Annotated[int | None, typer.Option(min=0, help="First offset of each partition.")]
UntilOffset = Annotated[int | None, typer.Option(min=0, help="Offset after the last, of each partition.")]
Partition = Annotated[list[int] | None, typer.Option(min=0, help="Only this partition.")]
Sample = Annotated[float, typer.Option(min=0, max=1, help="Share of the events to look at.")]


def dry_run(  # noqa: PLR0913 - options of a command
    given: Given = None,
    *,
    without: Without = None,
    since: Since = None,
    until: Until = None,
    from_offset: FromOffset = None,
    until_offset: UntilOffset = None,
    partition: Partition = None,
    sample: Sample = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON object.")] = False,
) -> None:
    """Say what rules would do with the retained events, and what differs from now; Ctrl-C cancels.

    Nothing is written to any target.
    """
    asked = {
        "rules": [rule for each in given or () for rule in _rules_in(each)],
        "without": without or [],
        "since": since,
        "until": until,
        "from_offset": from_offset,
        "until_offset": until_offset,
        "partitions": partition or [],
        "sample": sample,
    }
    run = asyncio.run(_run({name: value for name, value in asked.items() if value not in (None, [])}))
    if run.report is None:
        raise FatalError(f"the dry-run {run.status}: {run.error}" if run.error else f"it is {run.status}")
    if as_json:
        typer.echo(orjson.dumps(run.report))
    else:
        show(new_console(), run.report)


def _rules_in(given: str) -> list[Any]:
    path = Path(given)
    if path.suffix not in (".yaml", ".yml", ".json") and not path.is_file():
        return [given]
    if not path.is_file():
        raise FatalError(f"there is no file {given}", hint="name a YAML file, or a stored rule")
    return list(load_list(path.read_bytes(), source=given, of="rules"))


async def _run(asked: dict[str, Any]) -> Run:
    quiet_clients()
    config, actor = settings(), cli_actor()
    services = Services.of(config)
    runs = DryRuns(config, f"{actor.id} on {socket.gethostname()}")
    try:
        job = await job_of(parse_request(asked), services.routes, services.registry, sources_of(config))
        run = await runs.start(job, asked, actor.id)
        try:
            while run.status == RUNNING:
                await asyncio.sleep(POLL_S)
                run = await runs.get(run.id)
                _tell(run.progress, done=run.status != RUNNING)
        except asyncio.CancelledError:
            await runs.cancel(run.id, actor.id)
            raise
        return run
    finally:
        await runs.stop()
        await services.close()


def _tell(progress: Progress, *, done: bool) -> None:
    """Show how far it is, on a terminal, in one line that is written over and at the end wiped out."""
    if not sys.stderr.isatty():
        return
    percent = 100 * progress.done // progress.total if progress.total else 0
    line = f"{percent:3d} %  {progress.events:,} events  {progress.events_per_s:,.0f} a second"
    sys.stderr.write(f"\r\x1b[K{'' if done else line}")
    sys.stderr.flush()


def show(console: Console, report: dict[str, Any]) -> None:
    """Write a report for people."""
    diff = report["diff"]
    share = "" if report["sample"] == 1 else f", {report['sample']:.1%} of them looked at"
    console.print(f"{report['read']:,} events read{share}, {report['events_per_s']:,.0f} a second.")
    changes = f"{diff['gained']:,} gain targets, {diff['lost']:,} lose some, {diff['moved']:,} move"
    shaped = f"; {diff['reshaped']:,} have other copies for the same target" if diff["reshaped"] else ""
    console.print(f"{changes}, {diff['unchanged']:,} stay as they are{shaped}.")
    _print(console, ("target", "now", "would be", *SHOWN), _targets(report["targets"]))
    _print(console, ("rule", "matched now", "would match", "copies"), _rules(report["rules"]))
    errors = report["errors"]["after"]["by_reason"]
    if errors:
        console.print(f"{report['errors']['after']['total']:,} dead letters there would be:")
        _print(console, ("rule", "step", "events", "reason"), map(_error, errors))
    for topic in report["unknown_topics"]:
        console.print(f"Topic {printable(topic)} does not exist: its copies would be dead letters.")
    examples = [(kind, each) for kind, found in report["examples"].items() for each in found]
    if examples:
        console.print("Examples:")
        _print(console, ("what", "event", "id", "now", "would be"), (_example(*each) for each in examples))


def _targets(found: dict[str, dict[str, int]]) -> Iterable[list[str]]:
    for topic, counts in found.items():
        yield [topic, *(f"{counts[name]:,}" for name in ("before", "after", *SHOWN))]


def _rules(found: dict[str, dict[str, dict[str, int]]]) -> Iterable[list[str]]:
    nothing = {"matched": 0, "copies": 0}
    for label in sorted(found["before"].keys() | found["after"].keys()):
        before, after = (found[place].get(label, nothing) for place in ("before", "after"))
        yield [label, f"{before['matched']:,}", f"{after['matched']:,}", f"{after['copies']:,}"]


def _error(found: dict[str, Any]) -> list[str]:
    return [found["rule"], found["step"], f"{found['events']:,}", found["reason"]]


def _example(kind: str, found: dict[str, Any]) -> list[str]:
    place = f"{found['topic']} {found['partition']} {found['offset']}"
    return [kind, place, found["id"] or "", ", ".join(found["before"]), ", ".join(found["after"])]


def _print(console: Console, columns: tuple[str, ...], rows: Iterable[list[str]]) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(printable, row))
    if table.row_count:
        console.print(table)
