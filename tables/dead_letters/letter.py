"""A dead letter as people see it: why, where from, and what was done about it; never what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec
import orjson

from fleet.lane.dead_letters import AT_SOURCE, ATTEMPT, CLAIM_CHECK, PREFIX, reason_of
from tables.errors import InvalidInputError

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from tables.log import Row

TOPIC_PREFIX: Final = "fleet.dead-letters."
COPY_OF: Final = "copy_of"


class State(StrEnum):
    """What was done about a dead letter."""

    OPEN = "open"
    EDITED = "edited"
    REDRIVEN = "redriven"
    PURGED = "purged"


class LetterId(NamedTuple):
    """Where a dead letter is."""

    agent: str
    partition: int
    offset: int

    @property
    def name(self) -> str:
        """``agent/partition/offset``."""
        return f"{self.agent}/{self.partition}/{self.offset}"

    @property
    def topic(self) -> str:
        """Its topic."""
        return f"{TOPIC_PREFIX}{self.agent}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the id in ``agent/partition/offset``.

        Raises:
            InvalidInputError: It is none.
        """
        agent, *numbers = text.split("/")
        if not agent or len(numbers) != 2 or not all(_is_number(number) for number in numbers):  # noqa: PLR2004
            raise InvalidInputError(
                f"{text[:80]!r} is no dead letter", field="letters", hint="e.g. router/3/17, as listed"
            )
        return cls(agent, int(numbers[0]), int(numbers[1]))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18  # noqa: PLR2004 - Kafka's offsets


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter.

    Attributes:
        agent: Agent that refused the record.
        partition: Partition of the dead letter.
        offset: Offset of it.
        failed_at_ms: When it was set aside, epoch milliseconds.
        reason: Why, for machines.
        step: Step that refused it.
        detail: Why, for people.
        rule: The routing rule at work, ``name@version``, or empty.
        attempt: How many attempts at the record have failed.
        source_topic: Topic of the record when it was first read.
        source_partition: Partition of it, None where the letter does not say.
        source_offset: Offset of it.
        source_timestamp_ms: When it was published, epoch milliseconds.
        copy_of: The letter that this one is an edited copy of, or empty.
        payload_at: Where the payload stayed, ``source`` or a place; empty where the letter holds it.
        state: What was done about it.
        acted_at: When that was, ISO 8601, or empty.
        acted_by: Who did it, or empty.
        version: How often anything was done about it.
    """

    agent: str
    partition: int
    offset: int
    failed_at_ms: int
    reason: str
    step: str
    detail: str
    rule: str
    attempt: int
    source_topic: str
    source_partition: int | None
    source_offset: int | None
    source_timestamp_ms: int | None
    copy_of: str
    payload_at: str
    state: State = State.OPEN
    acted_at: str = ""
    acted_by: str = ""
    version: int = 0

    @property
    def id(self) -> LetterId:
        """Where it is."""
        return LetterId(self.agent, self.partition, self.offset)

    @property
    def payload_place(self) -> LetterId | tuple[str, int, int] | None:
        """Where its payload is to be read, None where nobody says."""
        if not self.payload_at:
            return self.id
        if self.payload_at == AT_SOURCE:
            if self.source_partition is None or self.source_offset is None:
                return None
            return self.source_topic, self.source_partition, self.source_offset
        topic, _, rest = self.payload_at.partition("/")
        partition, _, offset = rest.partition("/")
        return (topic, int(partition), int(offset)) if _is_number(partition) and _is_number(offset) else None


def letter_of(record: ConsumerRecord, rows: Mapping[str, Row]) -> Letter:
    """Return a record of a dead-letter topic with what was done about it."""
    why = reason_of(record.headers)
    where = LetterId(record.topic.removeprefix(TOPIC_PREFIX), record.partition, record.offset)
    done = status_of(rows, where)
    return Letter(
        agent=where.agent,
        partition=where.partition,
        offset=where.offset,
        failed_at_ms=record.timestamp,
        reason=why.get("reason", ""),
        step=why.get("step", ""),
        detail=why.get("detail", ""),
        rule=why.get("rule", ""),
        attempt=_number(why.get(ATTEMPT)) or 1,
        source_topic=why.get("topic", ""),
        source_partition=_number(why.get("partition")),
        source_offset=_number(why.get("offset")),
        source_timestamp_ms=_number(why.get("timestamp")),
        copy_of=why.get(COPY_OF, ""),
        payload_at=why.get(CLAIM_CHECK, ""),
        state=State(done.get("state", State.OPEN)),
        acted_at=str(done.get("at", "")),
        acted_by=str(done.get("by", "")),
        version=int(done.get("version", 0)),
    )


def status_of(rows: Mapping[str, Row], where: LetterId) -> dict[str, Any]:
    """Return what the status topic says of a letter; nothing of one that is untouched."""
    row = rows.get(where.name)
    found: dict[str, Any] = {} if row is None else orjson.loads(row.value)
    return found


def original_headers(record: ConsumerRecord) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that the record came with."""
    return tuple(each for each in record.headers if not each[0].startswith(PREFIX))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None
