"""``eventfleet run``: the main job on real parts, from raw claims to an aggregate over HTTP."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import orjson
import typer

from fleet.cli import aggregations, routes
from fleet.cli.definitions import what_became
from fleet.cli.keys import opened
from fleet.cli.people import cli_actor, for_people, new_console
from fleet.cli.run.demonstration import demonstrate
from fleet.cli.run.outcome import Outcome
from fleet.cli.run.processes import Fleet
from fleet.cli.run.report import show
from fleet.errors import FatalError
from fleet.settings import Settings, settings
from schemas.catalogue import load_catalogue
from schemas.cli import apply_catalogue
from stack.embedded import EmbeddedStack
from tables.access import Role

LOCAL_KEY = "local"
AGENTS = Path(__file__).parents[3] / "agents"
RULES = AGENTS / "router" / "rules.yaml"
AGGREGATIONS = AGENTS / "aggregator" / "aggregations.yaml"

console = new_console()


def command(
    *,
    once: Annotated[bool, typer.Option(help="End when done; exit 0 only if the counts reconcile.")] = False,
    summary: Annotated[Path | None, typer.Option(help="Write the figures as JSON to this file.")] = None,
    claims: Annotated[int, typer.Option(min=0, help="How many claims to generate.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the generated claims.")] = 2026,
) -> None:
    """Start stack, workers and gateway, process real and generated claims, show what happened."""
    with for_people():
        outcome = _run(settings(), claims=claims, seed=seed, summary=summary, once=once)
        if once and not outcome.reconciled:
            raise typer.Exit(1)


def _run(config: Settings, *, claims: int, seed: int, summary: Path | None, once: bool) -> Outcome:
    fleet = Fleet(config, say=console.print)
    fleet.require_ports()
    with EmbeddedStack(config, say=console.print), fleet:
        token = asyncio.run(_set_up(config))
        fleet.start()
        outcome = asyncio.run(
            demonstrate(config, fleet, token=token, claims=claims, seed=seed, say=console.print)
        )
        if summary is not None:
            summary.parent.mkdir(parents=True, exist_ok=True)
            summary.write_bytes(orjson.dumps(outcome.as_json(), option=orjson.OPT_INDENT_2))
        show(console, outcome, config, token="" if once else token)
        if not once:
            _stay(fleet)
    return outcome


async def _set_up(config: Settings) -> str:
    """Create topics, schemas, rules, aggregations, and an admin's key to the API: the key is returned."""
    catalogue = load_catalogue()
    found = await apply_catalogue(catalogue, config)
    if found.refusals:
        raise FatalError(str(found.refusals[0]), hint="see `eventfleet topics plan`")
    console.print(f"Topics and schemas ready: {len(catalogue.topics)} topics")
    for title, commands, path in (
        ("Routing rules", routes.COMMANDS, RULES),
        ("Aggregations", aggregations.COMMANDS, AGGREGATIONS),
    ):
        steps = await commands.write(commands.load(path), config)
        console.print(f"{title}: " + ", ".join(f"{step.name} {what_became(step)}" for step in steps))
    async with opened(config) as keys:
        # Of one id, so that each run replaces the key of the one before.
        issued = await keys.issue(
            "platform", [Role.ADMIN], cli_actor(), description="of `eventfleet run`", key_id=LOCAL_KEY
        )
    return issued.token


def _stay(fleet: Fleet) -> None:
    """Stay until Ctrl-C or SIGTERM, or until a part of the fleet ends."""
    while True:
        fleet.require_alive()
        time.sleep(1.0)
