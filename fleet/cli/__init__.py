"""The command line ``eventfleet``: the one place that puts all parts together."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

from fleet.cli import (
    aggregations,
    dead_letters_acting,
    keys,
    routes,
    routes_dry_run,
    routes_explain,
    run,
    state,
)
from fleet.cli.people import for_people
from fleet.lane.worker import main as worker_main
from schemas.cli import app as topics
from stack.cli import app as stack

AGENTS = ("router", "aggregator", "normalizer")

app = typer.Typer(
    name="eventfleet",
    help="Event platform on Apache Kafka: a fleet of Faust workers on an exactly-once lane.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(stack, name="stack", help="The embedded Kafka and schema registry.")
app.add_typer(topics, name="topics", help="The catalogue of topics and schemas.")
app.add_typer(routes.app, name="routes", help="The routing rules.")
app.add_typer(aggregations.app, name="aggregations", help="The aggregations and their builds.")
routes.app.command("dry-run")(routes_dry_run.dry_run)
routes.app.command("explain")(routes_explain.explain)
app.add_typer(keys.app, name="keys", help="API keys: who may use the HTTP API.")
app.add_typer(dead_letters_acting.app, name="dead-letters", help="What could not be processed.")
app.add_typer(state.app, name="state", help="Where agents stand, and the way out when they halt.")
app.command(name="run")(run.command)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def worker(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(help=f"One of {', '.join(AGENTS)}.")],
) -> None:
    """Run an agent's worker; further arguments go to Faust (``eventfleet worker router agents``)."""
    if agent not in AGENTS:
        message = f"no agent {agent!r}: use one of {', '.join(AGENTS)}"
        raise typer.BadParameter(message)
    new_app = importlib.import_module(f"agents.{agent}.app").new_app
    worker_main(new_app, context.args)


@app.command()
def gateway() -> None:
    """Run the gateway."""
    importlib.import_module("gateway.__main__").main()


def main() -> None:
    """Run the command line; an error is one line that says what to do."""
    with for_people():
        app()
