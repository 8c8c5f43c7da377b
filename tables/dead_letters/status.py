"""The rows of the status topic: what was done about a letter, when and by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tables.config_log import Write
from tables.dead_letters.letter import TOPIC_PREFIX, LetterId, State, status_of
from tables.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import ConsumerRecord

    from fleet.lane.effects import Emit
    from tables.access import Actor
    from tables.log import Row


def where_of(record: ConsumerRecord) -> LetterId:
    """Return where a dead letter is."""
    return LetterId(record.topic.removeprefix(TOPIC_PREFIX), record.partition, record.offset)


def row_of(state: State, actor: Actor) -> dict[str, Any]:
    """Return a letter's row for what is done about it now."""
    return {"state": state, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "by": actor.id}


def write_of(
    rows: Mapping[str, Row], where: LetterId, action: str, row: Mapping[str, Any], *outputs: Emit
) -> Write:
    """Return the next version of a letter's row, and what is written with it."""
    version = int(status_of(rows, where).get("version", 0)) + 1
    return Write(name=where.name, action=action, after={**row, "version": version}, outputs=outputs)


def is_open(rows: Mapping[str, Row], where: LetterId) -> bool:
    """Tell whether nothing was done about a letter that ends it."""
    return bool(status_of(rows, where).get("state", State.OPEN) == State.OPEN)


def refuse_done(rows: Mapping[str, Row], where: LetterId) -> None:
    """Refuse a letter that is not open any more.

    Raises:
        ConflictError: It is not; says since when, and by whom.
    """
    if is_open(rows, where):
        return
    row = status_of(rows, where)
    hint = "redrive its copy" if row["state"] == State.EDITED else "nothing is to be done"
    message = f"{where.name} was already {row['state']} at {row['at']} by {row['by']}"
    raise ConflictError(message, version=int(row["version"]), hint=hint)
