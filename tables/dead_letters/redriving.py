"""From dead letters to records of their agent's inbox, and to edited copies of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleet.errors import PermanentError
from fleet.lane.batches import record_bytes
from fleet.lane.dead_letters import ATTEMPT, CLAIM_CHECK, PREFIX, REKEYED
from fleet.lane.effects import Emit
from fleet.lane.inbox import INBOX_PREFIX
from fleet.lane.partitioner import partition_of
from fleet.lane.reading import read_one
from fleet.lane.topics import Topics
from tables.dead_letters.letter import COPY_OF, Letter, LetterId, letter_of, original_headers
from tables.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import ConsumerRecord

    from fleet.lane.config import LaneConfig
    from fleet.lane.effects import Headers
    from tables.log import Row

REPLACED: Final = frozenset(PREFIX + name for name in (ATTEMPT, CLAIM_CHECK, COPY_OF))
"""Headers of a dead letter that say nothing of the record which it becomes."""

CLAIM_GONE: Final = "payload_gone"
TOO_LARGE: Final = "too_large"


@dataclass(frozen=True, slots=True)
class Content:
    """What a record holds."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class Sorter:
    """Makes the records that dead letters become.

    Args:
        config: How to reach Kafka.
    """

    def __init__(self, config: LaneConfig) -> None:
        self._config = config
        self._topics = Topics(config)

    async def stop(self) -> None:
        """Close the connection; it is opened again when needed."""
        await self._topics.close()

    async def record(self, where: LetterId) -> ConsumerRecord:
        """Return the record of a dead letter.

        Raises:
            NotFoundError: There is none.
            TransientError: Kafka does not answer.
        """
        found = await read_one(self._config, where.topic, where.partition, where.offset)
        if found is None:
            raise NotFoundError(
                f"no dead letter {where.name}", hint="see `eventfleet dead-letters list`, column letter"
            )
        return found

    async def content(self, record: ConsumerRecord, letter: Letter) -> Content:
        """Return what the record held that became a dead letter, wherever it is.

        Raises:
            PermanentError: The payload stayed elsewhere and is not there any more.
            TransientError: Kafka does not answer.
        """
        if not letter.payload_at:
            return Content(record.key, record.value, original_headers(record))
        place = letter.payload_place
        found = None if place is None or isinstance(place, LetterId) else await read_one(self._config, *place)
        if found is None:
            where = "/".join(map(str, place)) if place else letter.payload_at
            message = f"the payload of {letter.id.name} stayed at {where}, which Kafka has deleted since"
            raise PermanentError(message, reason=CLAIM_GONE, hint="ask its sender for it")
        return Content(found.key, found.value, original_headers(found))

    async def redriven(self, record: ConsumerRecord, rows: Mapping[str, Row]) -> Emit:
        """Return the record that sends a dead letter to its agent again.

        Raises:
            PermanentError: Its payload is gone, its source is not known, or the inbox takes nothing as large.
            FatalError: The inbox does not exist.
            TransientError: Kafka does not answer.
        """
        letter = letter_of(record, rows)
        inbox = f"{INBOX_PREFIX}{letter.agent}"
        partitions = (await self._topics.require([inbox], by="redrive"))[inbox]
        content = await self.content(record, letter)
        if letter.source_partition is None:
            message = f"{letter.id.name} does not say which partition of its source it is of"
            raise PermanentError(message, reason="source_unknown", hint="publish the record anew")
        own = dict(record.headers)
        is_rekeyed = REKEYED in own and content.key is not None
        # What an agent follows beside its sources may have more partitions than these and its inbox.
        first = letter.source_partition % partitions
        partition = partition_of(content.key or b"", partitions) if is_rekeyed else first
        headers = [
            *content.headers,
            *(each for each in record.headers if each[0].startswith(PREFIX) and each[0] not in REPLACED),
            (PREFIX + ATTEMPT, b"%d" % (letter.attempt + 1)),
        ]
        emit = Emit(inbox, content.key, content.value, tuple(headers), partition)
        self._check_size(letter.id, emit)
        return emit

    async def copy(
        self, record: ConsumerRecord, letter: Letter, edited: Content, *, is_rekeyed: bool
    ) -> Emit:
        """Return a dead letter that holds `edited` in place of what `letter` does.

        Raises:
            PermanentError: The dead-letter topic takes nothing as large.
            TransientError: Kafka does not answer.
        """
        await self._topics.require([letter.id.topic], by="dead letters")
        replaced = REPLACED - {PREFIX + ATTEMPT}
        own = [each for each in record.headers if each[0].startswith(PREFIX) and each[0] not in replaced]
        if is_rekeyed and REKEYED not in dict(own):
            own.append((REKEYED, b"true"))
        headers = (*edited.headers, *own, (PREFIX + COPY_OF, letter.id.name.encode()))
        emit = Emit(letter.id.topic, edited.key, edited.value, headers, letter.partition)
        self._check_size(letter.id, emit)
        return emit

    def _check_size(self, where: LetterId, emit: Emit) -> None:
        info = self._topics.get(emit.topic)
        size = record_bytes(emit.key, emit.value, emit.headers)
        if info is not None and size > info.max_message_bytes:
            message = (
                f"{where.name} has {size:,} bytes, and {emit.topic} takes {info.max_message_bytes:,} bytes"
            )
            raise PermanentError(message, reason=TOO_LARGE, hint="raise its max.message.bytes")
