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

Agent = Annotated[str, typer.Argument(help=f"One of {', '.join(APPS)}.")]
Partition = Annotated[int, typer.Option("--partition", min=0, help="Partition of the task.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
@for_people()
def show(agent: Agent) -> None:
    """Show each task's offsets: the group's, its tables', the source's; exit 1 if some do not agree."""
    standings, active = _run(agent, _look_at_all)
    new_console().print(_table(standings))
    differing = sum(bool(source.differs) for each in standings for source in each.sources.values())
    verdict = f"{differing} do not agree" if differing else "all agree"
    moving = f"; {active} workers run, so offsets may have moved while they were read" if active else ""
    typer.echo(f"{verdict}{moving}")
    if differing:
        raise typer.Exit(1)


@app.command()
@for_people()
def adopt(agent: Agent, partition: Partition, *, yes: Yes = False) -> None:
    """Set the group's offset to the one in the tables' changelogs; the agent's workers must be stopped."""

    async def idle(host: LaneHost) -> None:
        if active := await members(host):
            message = f"{agent} has {active} running worker{'s' if active > 1 else ''}"
            hint = "stop them first; a killed one counts until its session times out"
            raise FatalError(message, hint=hint)

    _change(agent, partition, adoption, yes=yes, check=idle)


@app.command()
@for_people()
def skip(agent: Agent, partition: Partition, *, yes: Yes = False) -> None:
    """Accept the loss of records that were deleted before they were processed, and say how many."""

    async def nothing(host: LaneHost) -> None:
        del host  # A worker that owns the partition is fenced.

    _change(agent, partition, skipping, yes=yes, check=nothing)


def _change(
    name: str, partition: int, decide: Decide, *, yes: bool, check: Callable[[LaneHost], Awaitable[None]]
) -> None:
    async def plan(host: LaneHost, agent: LaneAgent) -> Change:
        await check(host)
        await _require(host, agent, partition)
        return decide(await look(host, agent, partition))

    agreed = _run(name, plan)
    typer.echo("\n".join(agreed.lines))
    if not yes:
        typer.confirm("Write that?", abort=True)

    async def write(host: LaneHost, agent: LaneAgent) -> None:
        await check(host)
        await carry_out(host, agent, partition, decide, agreed)

    _run(name, write)
    typer.echo("Written. A halted task tries again every few seconds, and goes on then.")


def _run(name: str, work: Callable[[LaneHost, LaneAgent], Awaitable[T]]) -> T:
    """Run `work` on the lane of a worker that is not started."""
    if name not in APPS:
        raise FatalError(f"no agent {name!r}", hint=f"use one of {', '.join(APPS)}")
    quiet_clients()
    host = APPS[name]().lane.host
    (agent,) = host.agents.values()

    async def bounded_work() -> T:
        try:
            return await work(host, agent)
        except KafkaError as error:
            raise kafka_trouble(host.config, error) from error
        finally:
            await host.topics.close()
            await background_done(STOP_LIMIT_S)

    return asyncio.run(bounded_work())


async def _look_at_all(host: LaneHost, agent: LaneAgent) -> tuple[list[Standing], int]:
    counts = await host.topics.require(agent.sources, by=f"agent {agent.name}")
    standings = [await look(host, agent, partition) for partition in range(min(counts.values()))]
    return standings, await members(host)


async def _require(host: LaneHost, agent: LaneAgent, partition: int) -> None:
    counts = await host.topics.require(agent.sources, by=f"agent {agent.name}")
    if partition >= min(counts.values()):
        raise FatalError(
            f"no partition {partition}", hint=f"{agent.name} has 0 to {min(counts.values()) - 1}"
        )


def _table(standings: list[Standing]) -> Table:
    table = Table(
        "source", "first to end", "group at", "tables at", "rows", "verdict", box=None, pad_edge=False
    )
    for column in table.columns[:3]:
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
        where,
        f"{source.begin} to {source.end}",
        _offset(source.committed),
        tables or "no tables",
        str(rows),
        source.differs or "agrees",
    ]


def _offset(offset: Any) -> str:
    return "none" if offset is None else str(offset)
