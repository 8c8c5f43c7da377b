"""``eventfleet routes explain``: why an event went where it did, or did not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.table import Table

from agents.router.app import NAME, sources_of
from agents.router.domain.timeline import Timeline
from agents.router.explaining.service import Explainer
from api.services import Services
from fleet.cli.people import instant, new_console, printable, quiet_clients
from fleet.errors import FatalError
from fleet.settings import settings
from tables.routes.rule import parse_rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

_LOOKING: Final = "other_source"


def explain(
    place: Annotated[list[str] | None, typer.Argument(help="TOPIC PARTITION OFFSET of the event.")] = None,
    *,
    event_id: Annotated[
        str | None, typer.Option("--id", help="Its CloudEvents id, in place of those.")
    ] = None,
    source: Annotated[str, typer.Option(help="With --id: its CloudEvents source.")] = "",
    all_rules: Annotated[bool, typer.Option("--all", help="Also rules that look at other events.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as one JSON object.")] = False,
) -> None:
    """Say what each rule says of an event and why, where its copies are, and what failed."""
    found = asyncio.run(_explained(_coordinates(place or [], event_id), event_id or "", source))
    if as_json:
        typer.echo(orjson.dumps(found))
    else:
        show(new_console(), found, all_rules=all_rules)


def _coordinates(place: list[str], event_id: str | None) -> tuple[str, int, int] | None:
    if event_id is not None and not place:
        return None
    if event_id is None and len(place) == len(("topic", "partition", "offset")):
        topic, partition, offset = place
        if partition.isdecimal() and offset.isdecimal():
            return topic, int(partition), int(offset)
    raise FatalError("which event is not clear", hint="give TOPIC PARTITION OFFSET, or --id ID")


async def _explained(place: tuple[str, int, int] | None, event_id: str, source: str) -> dict[str, Any]:
    quiet_clients()
    config = settings()
    services = Services.of(config)

    async def timeline() -> Timeline:
        table = await services.routes.table()
        return Timeline.of(map(parse_rule, table.documents.values()), table.offset)

    explainer = Explainer(
        services.lane,
        services.registry,
        sources_of(config),
        group=NAME,
        timeline=timeline,
        worker_url=f"http://{config.host}:{config.router_port}",
    )
    try:
        return await (explainer.by_id(event_id, source) if place is None else explainer.at(*place))
    finally:
        await services.close()


def show(console: Console, found: dict[str, Any], *, all_rules: bool) -> None:
    """Write an explanation for people."""
    event, routing = found["event"], found["routing"]
    place = f"{event['topic']} {event['partition']} {event['offset']}"
    event_type = event["attributes"].get("type", event["topic"])
    console.print(f"{place}: {printable(event_type)}, published {instant(event['published_ms'])}.")
    console.print(routing.get("reason") or f"Routed: the router stands at {routing['next_offset']}.")
    then = found["as_routed"]
    if then.get("rules"):
        console.print(f"By the rules as they were when it was routed (offset {then['config_offset']}):")
        _print(console, ("rule", "verdict", "why"), _rules(then["rules"], all_rules=all_rules))
    elif then.get("reason"):
        console.print(f"By which rules it was routed is not known: {then['reason']}.")
    console.print(f"By the rules as they are (offset {found['now']['config_offset']}):")
    _print(console, ("rule", "verdict", "why"), _rules(found["now"]["rules"], all_rules=all_rules))
    for copy in found["copies"]:
        where = f"{copy['topic']} {copy['partition']} {copy['offset']}"
        console.print(f"Copy at {where}, by {printable(copy['rule'])}, {instant(copy['written_ms'])}.")
    for letter in found["dead_letters"]:
        where = f"{letter['topic']} {letter['partition']} {letter['offset']}"
        console.print(f"Dead letter at {where}: {printable(letter['detail'])}.")
    for place in found["searched"]:
        if place.get("reason"):
            console.print(f"No copy found in {place['topic']}: {place['reason']}.")


def _rules(rules: Iterable[dict[str, Any]], *, all_rules: bool) -> Iterable[list[str]]:
    for rule in rules:
        if all_rules or rule["verdict"] != _LOOKING:
            yield [rule["rule"], rule["verdict"].replace("_", " "), "; ".join(_reasons(rule))]


def _reasons(rule: dict[str, Any]) -> Iterable[str]:
    if rule.get("reason"):
        yield rule["reason"]
    for part in rule.get("why", ()):
        yield part["said"]
    for target in rule.get("targets", ()):
        yield target["topic"] if target["outcome"] == "copy" else f"{target['topic']}: {target['reason']}"


def _print(console: Console, columns: tuple[str, ...], rows: Iterable[list[str]]) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(printable, row))
    if table.row_count:
        console.print(table)
