"""The versions of an app, and which of them a partition's work belongs to.

A version has a group and changelogs of its own, but all versions of an app share their
transactional ids: the owner of a partition in one version fences the owner in any other.
A migration marks the offsets of the group that it leaves; so at any time at most one version may
go on from them (docs/adr/0008-versions-and-migration.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

from fleet.lane.errors import Halted
from fleet.lane.reading import end_offsets

if TYPE_CHECKING:
    from fleet.lane.agent import LaneAgent
    from fleet.lane.context import LaneContext
    from fleet.lane.topics import Position

MOVED_TO = "moved to version "
"""Metadata of a group's offset that another version goes on from, before that version's number."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an app.

    Attributes:
        name: Name of the app, the same in all its versions.
        number: 1 or more.
    """

    name: str
    number: int = 1

    @property
    def group(self) -> str:
        """Consumer group, which is also what Faust calls the app's id."""
        return self.name if self.number == 1 else f"{self.name}-v{self.number}"

    @property
    def moved_here(self) -> str:
        """Mark on the offsets of a version that this one goes on from."""
        return f"{MOVED_TO}{self.number}"

    def transactional_id(self, agent: str, partition: int) -> str:
        """Return the transactional id of a task, the same in all versions."""
        return f"{self.name}-{agent}-{partition}"


def moved_to(position: Position | None) -> int | None:
    """Return the version that goes on from `position` in place of its own, or None."""
    if position is None or not position.metadata.startswith(MOVED_TO):
        return None
    return int(position.metadata.removeprefix(MOVED_TO))


async def committed_offsets(
    context: LaneContext, agent: LaneAgent, partition: int
) -> dict[TopicPartition, int | None]:
    """Return the group's next offset of each source of a task, where its version may go on from them.

    Raises:
        Halted: The work belongs to another version.
        Lost: The coordinator did not say.
    """
    version = context.version
    found = await context.topics.positions(
        version.group, [TopicPartition(topic, partition) for topic in agent.sources]
    )
    left_for = {number for position in found.values() if (number := moved_to(position)) is not None}
    if left_for:
        (number,) = left_for
        message = f"version {version.number} of {version.name} was left for version {number}"
        back = f"eventfleet state migrate {version.name} --from {number} --to {version.number}"
        raise Halted(message, hint=f"run that one, or go back with `{back}`")
    if not any(found.values()):
        await _refuse_unmigrated(context, agent)
    return {tp: None if position is None else position.offset for tp, position in found.items()}


async def _refuse_unmigrated(context: LaneContext, agent: LaneAgent) -> None:
    """Refuse a version that has nothing yet where an earlier one has: it would do all again."""
    version = context.version
    for number in range(version.number - 1, 0, -1):
        if await is_there(context, agent, Version(version.name, number)):
            message = (
                f"version {version.number} of {version.name} has no offsets of {agent.name}, but version "
                f"{number} has"
            )
            command = f"eventfleet state migrate {version.name} --from {number} --to {version.number}"
            raise Halted(message, hint=f"run `{command}`")


async def is_there(context: LaneContext, agent: LaneAgent, version: Version) -> bool:
    """Tell whether `version` has offsets or state of `agent`, in any partition."""
    counts = await context.topics.require(agent.sources, by=f"agent {agent.name}")
    everywhere = [TopicPartition(topic, number) for topic in agent.sources for number in range(counts[topic])]
    if any((await context.topics.positions(version.group, everywhere)).values()):
        return True
    changelogs = [changelog_of(context, table, version) for table in agent.tables]
    await context.topics.ensure(changelogs)
    existing = [topic for topic in changelogs if context.topics.get(topic) is not None]
    return bool(existing) and any((await end_offsets(context.config, existing)).values())


def changelog_of(context: LaneContext, table: str, version: Version) -> str:
    """Return the changelog topic of `table` in another version of the app."""
    return version.group + context.changelog(table).removeprefix(context.version.group)
