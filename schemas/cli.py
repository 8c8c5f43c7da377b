"""``eventfleet topics``: compare the catalogue with Kafka and the schema registry, and apply it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fleet.errors import EventfleetError
from fleet.settings import Settings, settings
from schemas.catalogue import CATALOGUE, Catalogue, load_catalogue
from schemas.cluster import ensure_topics, read_topics
from schemas.subjects import SubjectPlan, apply_subjects, plan_subjects
from schemas.topics import Action, Plan, TopicPlan, plan

app = typer.Typer(help="The topics and schemas of the catalogue.", no_args_is_help=True)

CatalogueFolder = Annotated[
    Path, typer.Option("--catalogue", help="Folder with topics/*.yaml and avro/*.avsc.", show_default=False)
]

_STYLES = {Action.CREATE: "green", Action.ALTER: "yellow", Action.IN_SYNC: "dim", Action.REFUSED: "bold red"}


@dataclass(frozen=True, slots=True)
class Difference:
    """How Kafka and the registry differ from a catalogue."""

    topics: Plan
    subjects: tuple[SubjectPlan, ...]

    @property
    def refusals(self) -> tuple[str, ...]:
        """One line for each change that was refused."""
        return self.topics.refusals + tuple(line for subject in self.subjects for line in subject.refusals)


async def compare(catalogue: Catalogue, config: Settings) -> Difference:
    """Compare a catalogue with Kafka and the registry; changes nothing.

    Raises:
        TransientError: Kafka or the registry does not answer.
        FatalError: Kafka or the registry refuses this user.
    """
    states, subjects = await asyncio.gather(
        read_topics(catalogue.topics, config),
        asyncio.to_thread(plan_subjects, catalogue.subjects(), config.registry),
    )
    topics = plan(catalogue.specs(), states, replication_factor=config.replication_factor)
    return Difference(topics, subjects)


async def apply_catalogue(catalogue: Catalogue, config: Settings) -> Difference:
    """Create and change what the catalogue says, unless something is refused; return what differed.

    Raises:
        TransientError: Kafka or the registry does not answer.
        FatalError: Kafka or the registry refuses a change.
    """
    found = await compare(catalogue, config)
    if not found.refusals:
        await ensure_topics(catalogue.specs(), config)
        await asyncio.to_thread(apply_subjects, found.subjects, config.registry)
    return found


@app.command("plan")
def plan_command(catalogue: CatalogueFolder = CATALOGUE) -> None:
    """Show what `apply` would do; exit 1 if it would refuse something."""
    with _one_line_errors():
        found = asyncio.run(compare(load_catalogue(catalogue), settings()))
        _show(found)
        _exit_on_refusals(found)


@app.command("apply")
def apply_command(catalogue: CatalogueFolder = CATALOGUE) -> None:
    """Create and change topics and register schemas; changes nothing and exits 1 on a refusal."""
    with _one_line_errors():
        found = asyncio.run(apply_catalogue(load_catalogue(catalogue), settings()))
        _show(found)
        _exit_on_refusals(found)
        Console().print("Topics and schemas are as the catalogue says.")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    # The client logs each failed connection; the one line below says it better.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        yield
    except EventfleetError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


def _show(found: Difference) -> None:
    table = Table("Topic or subject", "", "Change", box=None, pad_edge=False)
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for topic in found.topics.topics:
        style = _STYLES[topic.action]
        table.add_row(topic.spec.name, f"[{style}]{topic.action}[/]", _topic_details(topic))
    for subject in found.subjects:
        style = _STYLES[subject.action]
        table.add_row(subject.subject, f"[{style}]{subject.action}[/]", _subject_details(subject))
    Console().print(table)


def _topic_details(topic: TopicPlan) -> str:
    if topic.state is None:
        spec = topic.spec
        return f"{spec.partitions} partition{'s' if spec.partitions > 1 else ''}, {spec.cleanup}"
    return ", ".join(f"{c.setting} {c.current} -> {c.wanted}" for c in topic.changes)


def _subject_details(subject: SubjectPlan) -> str:
    if subject.action is Action.ALTER:
        return "new version"
    return f"schema {subject.schema['name']}" if subject.action is Action.CREATE else ""


def _exit_on_refusals(found: Difference) -> None:
    for line in found.refusals:
        Console(stderr=True).print(f"refused: {line}", style="red", markup=False, soft_wrap=True)
    if found.refusals:
        raise typer.Exit(1)
