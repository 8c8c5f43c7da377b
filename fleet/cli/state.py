"""``eventfleet state``: where an agent's tasks stand, and the way out when they halt."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError
from rich.table import Table

from fleet.cli.people import for_people, new_console, quiet_clients
from fleet.errors import FatalError
from fleet.lane import LaneApp
from fleet.lane.agent import LaneAgent
from fleet.lane.bounded import background_done
from fleet.lane.clients import STOP_LIMIT_S
from fleet.lane.host import LaneHost
from fleet.lane.reading import kafka_trouble
from fleet.lane.standing import (
    Change,
    Decide,
    Source,
    Standing,
    adoption,
    carry_out,
    look,
    members,
    skipping,
)
from fleet.lane.versions import committed_offsets, is_there

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True)


def _agent_app(name: str) -> Callable[[], LaneApp]:
    def new_app() -> LaneApp:
        made: LaneApp = importlib.import_module(f"agents.{name}.app").new_app()
        return made

    return new_app


APPS: dict[str, Callable[[], LaneApp]] = {
    name: _agent_app(name) for name in ("router", "aggregator", "normalizer")
}
"""The app of each worker, made when it is asked for: an agent's imports are its own."""

App = Annotated[
    str,
    typer.Argument(metavar="APP", help=f"One of {', '.join(APPS)}, or MODULE:FUNCTION that makes your own."),
]
Agent = Annotated[str | None, typer.Option("--agent", help="Agent of the app; needed if it has several.")]
Partition = Annotated[int, typer.Option("--partition", min=0, help="Partition of the task.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
@for_people()
def show(name: App) -> None:
    """Show each task's offsets: the group's, its tables', the source's; exit 1 if some do not agree."""
    standings, active = _run(name, _look_at_all)
    new_console().print(_table(standings))
    differing = sum(bool(source.differs) for each in standings for source in each.sources.values())
    verdict = f"{differing} do not agree" if differing else "all agree"
    moving = f"; {active} workers run, so offsets may have moved while they were read" if active else ""
    typer.echo(f"{verdict}{moving}")
    if differing:
        raise typer.Exit(1)


@app.command()
@for_people()
def adopt(name: App, partition: Partition, *, agent: Agent = None, yes: Yes = False) -> None:
    """Set the group's offset to the one in the tables' changelogs; the app's workers must be stopped."""

    async def idle(host: LaneHost) -> None:
        if active := await members(host):
            message = f"{name} has {active} running worker{'s' if active > 1 else ''}"
            hint = "stop them first; a killed one counts until its session times out"
            raise FatalError(message, hint=hint)

    _change(name, agent, partition, adoption, yes=yes, check=idle)


@app.command()
@for_people()
def skip(name: App, partition: Partition, *, agent: Agent = None, yes: Yes = False) -> None:
    """Accept the loss of records that were deleted before they were processed, and say how many."""

    async def nothing(host: LaneHost) -> None:
        del host  # A worker that owns the partition is fenced.

    _change(name, agent, partition, skipping, yes=yes, check=nothing)


@app.command()
@for_people()
def migrate(
    name: App,
    origin: Annotated[int, typer.Option("--from", min=1, help="Version that has offsets and state.")],
    target: Annotated[int, typer.Option("--to", min=1, help="Version of the code at hand.")],
    *,
    yes: Yes = False,
) -> None:
    """Move an app's offsets and state to another version, whose workers go on from there.

    Workers of the old version may run: each loses its partitions as they are moved.
    """
    todo = _run(name, lambda made: _todo(made, origin, target))
    for agent, partitions in todo.items():
        typer.echo(f"{agent}: {len(partitions)} partitions go from version {origin} to {target}")
    if not yes:
        typer.confirm("Move them?", abort=True)

    async def move(made: LaneApp) -> None:
        for migration in made.lane.migrations(origin):
            for partition in todo.get(migration.agent.name, ()):
                rows = await migration.move(partition)
                typer.echo(f"{migration.agent.name}/{partition}: {rows} rows")

    _run(name, move)
    typer.echo(f"Moved. Workers of version {target} go on from here.")


async def _todo(made: LaneApp, origin: int, target: int) -> dict[str, list[int]]:
    """Return the partitions to move, by agent."""
    host = made.lane.host
    if target != host.version.number or origin == target:
        message = f"the code of {host.version.name} is version {host.version.number}"
        raise FatalError(message, hint=f"use --to {host.version.number}, and another version for --from")
    await made.lane.prepare()
    known = [each for each in made.lane.migrations(origin) if await is_there(host, each.agent, each.origin)]
    if not known:
        message = f"version {origin} of {host.version.name} has no offsets and no state"
        raise FatalError(message, hint=f"there is nothing to migrate: version {target} starts by itself")
    todo = {each.agent.name: partitions for each in known if (partitions := await each.left_to_do())}
    if not todo:
        message = f"version {target} of {host.version.name} has all that version {origin} had"
        raise FatalError(message, hint="there is nothing to migrate")
    return todo


def _change(
    name: str,
    agent_name: str | None,
    partition: int,
    decide: Decide,
    *,
    yes: bool,
    check: Callable[[LaneHost], Awaitable[None]],
) -> None:
    async def plan(made: LaneApp) -> Change:
        host, agent = made.lane.host, _agent(made, agent_name)
        await check(host)
        await _require(host, agent, partition)
        await committed_offsets(host, agent, partition)  # Refuses where the work is another version's.
        return decide(await look(host, agent, partition))

    agreed = _run(name, plan)
    typer.echo("\n".join(agreed.lines))
    if not yes:
        typer.confirm("Write that?", abort=True)

    async def write(made: LaneApp) -> None:
        await check(made.lane.host)
        await carry_out(made.lane.host, _agent(made, agent_name), partition, decide, agreed)

    _run(name, write)
    typer.echo("Written. A halted task tries again every few seconds, and goes on then.")


def _run(name: str, work: Callable[[LaneApp], Awaitable[T]]) -> T:
    """Run `work` on an app whose worker is not started."""
    quiet_clients()
    made = _made(name)
    host = made.lane.host

    async def bounded_work() -> T:
        try:
            return await work(made)
        except KafkaError as error:
            raise kafka_trouble(host.config, error) from error
        finally:
            await host.topics.close()
            await background_done(STOP_LIMIT_S)

    return asyncio.run(bounded_work())


def _made(name: str) -> LaneApp:
    """Return the app of one of our workers, or of ``module`` or ``module:function``."""
    if name in APPS:
        return APPS[name]()
    module, _, function = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), function or "new_app")()
    except (ImportError, AttributeError, ValueError) as error:
        message = f"no app {name!r} ({error})"
        raise FatalError(message, hint=f"use {', '.join(APPS)}, or MODULE:FUNCTION of your own") from error
    if not isinstance(made, LaneApp):
        raise FatalError(f"{name} makes no LaneApp", hint="name the function that returns your app")
    return made


def _agent(made: LaneApp, name: str | None) -> LaneAgent:
    agents = made.lane.host.agents
    if name is None and len(agents) == 1:
        return next(iter(agents.values()))
    if name not in agents:
        missing = "several agents" if name is None else f"no agent {name!r}"
        raise FatalError(f"the app has {missing}", hint=f"use --agent with one of {', '.join(agents)}")
    return agents[name]


async def _look_at_all(made: LaneApp) -> tuple[list[Standing], int]:
    host, standings = made.lane.host, []
    for agent in host.agents.values():
        counts = await host.topics.require(agent.sources, by=f"agent {agent.name}")
        standings += [await look(host, agent, partition) for partition in range(min(counts.values()))]
    return standings, await members(host)


async def _require(host: LaneHost, agent: LaneAgent, partition: int) -> None:
    counts = await host.topics.require(agent.sources, by=f"agent {agent.name}")
    if partition >= min(counts.values()):
        raise FatalError(
            f"no partition {partition}", hint=f"{agent.name} has 0 to {min(counts.values()) - 1}"
        )


def _table(standings: list[Standing]) -> Table:
    table = Table(
        "agent",
        "source",
        "first to end",
        "group at",
        "tables at",
        "rows",
        "verdict",
        box=None,
        pad_edge=False,
    )
    for column in table.columns[:4]:
        column.no_wrap = True
    for standing in standings:
        for tp, source in standing.sources.items():
            table.add_row(*_cells(f"{tp.topic}/{tp.partition}", source, standing, tp.topic))
    return table


def _cells(where: str, source: Source, standing: Standing, topic: str) -> list[str]:
    at = {name: content.offsets.get(topic) for name, content in standing.tables.items()}
    same = len(set(at.values())) == 1
    tables = (
        _offset(next(iter(at.values())))
        if same
        else ", ".join(f"{name} {_offset(o)}" for name, o in at.items())
    )
    rows = sum(content.rows for content in standing.tables.values())
    return [
        standing.agent,
        where,
        f"{source.begin} to {source.end}",
        _offset(source.committed),
        tables or "no tables",
        str(rows),
        source.differs or "agrees",
    ]


def _offset(offset: Any) -> str:
    return "none" if offset is None else str(offset)
