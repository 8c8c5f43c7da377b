"""What is done about the builds of an aggregation: switched, discarded, stopped when they grow too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tables.access import platform_actor
from tables.aggregations.builds import discarded, switched
from tables.aggregations.definition import State, parse_definition
from tables.aggregations.kind import document_of
from tables.errors import NotFoundError

if TYPE_CHECKING:
    from tables.access import Actor
    from tables.aggregations.definition import Definition
    from tables.definitions import Definitions
    from tables.documents import Document


async def switch(
    definitions: Definitions, name: str, to: int, version: int | None, actor: Actor, reason: str = ""
) -> Document:
    """Serve another build of an aggregation, which is queried and written from then on.

    Args:
        definitions: The aggregations.
        name: Its name.
        to: Number of the build; where it is served already, nothing is written.
        version: The version that is to be replaced; None for whichever is current.
        actor: Who does it.
        reason: Why, for the audit.

    Raises:
        NotFoundError: There is no such aggregation or build.
        ConflictError: Another version is the current one.
        ForbiddenError: The actor may not.
        TransientError: Kafka does not answer; nothing is written.
    """

    def change(found: Document) -> Document:
        return document_of(switched(parse_definition(found), to))

    return await definitions.amend(name, "switch", change, version, actor, reason=reason, settled=True)


async def discard(
    definitions: Definitions, name: str, build: int, version: int | None, actor: Actor, reason: str = ""
) -> Document:
    """Drop a build of an aggregation with its state; see `switch` for the other arguments and errors.

    Raises:
        ConflictError: It is the build that is served, or another version is the current one.
    """

    def change(found: Document) -> Document:
        return document_of(discarded(parse_definition(found), build))

    return await definitions.amend(name, "discard", change, version, actor, reason=reason, settled=True)


async def pause_over_quota(definitions: Definitions, name: str, build: int, reason: str) -> bool:
    """Pause an active aggregation because one of its builds has grown over its limits.

    Args:
        definitions: The aggregations.
        name: Its name.
        build: Number of the build.
        reason: Which limit, and what to do: for people, in the definition and in the audit.

    Returns:
        Whether this call paused it: it is not done twice, nor for a build that is gone.

    Raises:
        TransientError: Kafka does not answer; nothing is written.
    """
    paused = False

    def change(found: Document) -> Document:
        nonlocal paused
        definition = parse_definition(found)
        paused = _is_running(definition, build)
        if not paused:
            return found
        stopped = msgspec.structs.replace(definition, state=State.PAUSED, paused_because=reason)
        return document_of(stopped)

    try:
        await definitions.amend(
            name, "pause", change, None, platform_actor("aggregator"), reason=reason, settled=True
        )
    except NotFoundError:
        return False  # It was deleted meanwhile.
    return paused


def _is_running(definition: Definition, build: int) -> bool:
    return definition.state is State.ACTIVE and any(each.number == build for each in definition.builds)
