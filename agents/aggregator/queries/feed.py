"""The change topic of an aggregation, read from its end or from where a client left off."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from agents.aggregator.queries.answers import CLOSED, OPEN, plain
from fleet.errors import PermanentError
from fleet.lane.clients import assign_at
from fleet.lane.partitioner import partition_of
from fleet.lane.reading import open_reader
from schemas.codec import schema_ids
from tables.aggregations.definition import RESERVED
from tables.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from fleet.lane.config import LaneConfig
    from fleet.lane.topics import Topics
    from schemas.codec import Codec

BUILD_HEADER: Final = "fleet_aggregation"
"""Header of each change: the id of its build."""
POLL_MS: Final = 500
MAX_RECORDS: Final = 200

_PLACE: Final = re.compile(r"(?P<partition>[0-9]{1,6}):(?P<offset>[0-9]{1,18})")


class GoneError(PermanentError):
    """The changes after a place are not all in the topic any more."""

    def __init__(self) -> None:
        super().__init__(
            "changes after that place have left the topic",
            reason="gone",
            hint="query the rows, and begin anew without a place",
        )


def parse_place(text: str) -> dict[int, int]:
    """Return next offsets by partition, as the id of a change gives them.

    Raises:
        InvalidInputError: It is no such id.
    """
    found = [_PLACE.fullmatch(each) for each in text.split(",")] if text else []
    if not found or None in found:
        hint = "send the id of a change as it came"
        raise InvalidInputError("that is no place in the changes", field="Last-Event-ID", hint=hint)
    return {int(each["partition"]): int(each["offset"]) for each in found if each is not None}


class Feed:
    """Changes as they come, bounded: no more is read than has been taken.

    Args:
        reader: Stands where the feed begins.
        codec: Decodes changes.
        at: Next offsets by partition.
        parts: Gives the parts of the group key of a build; None for one that is gone.
        wanted: Id of the one build, and the one group, that are wanted; empty for all.
    """

    def __init__(
        self,
        reader: AIOKafkaConsumer,
        codec: Codec,
        at: dict[int, int],
        parts: Callable[[str], Sequence[str] | None],
        wanted: tuple[str, str],
    ) -> None:
        self._reader = reader
        self._codec = codec
        self._at = at
        self._parts = parts
        self._build, self._group = wanted

    @property
    def place(self) -> str:
        """Where it stands: a feed that begins there misses nothing."""
        return ",".join(f"{partition}:{offset}" for partition, offset in sorted(self._at.items()))

    async def changes(self) -> list[dict[str, Any]]:
        """Return the next changes, each with its place; none where none have come for a while.

        Raises:
            GoneError: Some have left the topic.
            TransientError: The registry does not answer.
        """
        try:
            fetched = await self._reader.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
        except OffsetOutOfRangeError:
            raise GoneError from None
        records = [record for some in fetched.values() for record in some]
        await self._codec.ensure(schema_ids(record.value for record in records))
        found = []
        for record in records:
            self._at[record.partition] = record.offset + 1
            change = self._change(record)
            if change is not None:
                found.append({**change, "id": self.place})
        return found

    def _change(self, record: Any) -> dict[str, Any] | None:
        build = dict(record.headers).get(BUILD_HEADER, b"").decode(errors="replace")
        group = (record.key or b"").decode(errors="replace")
        names = self._parts(build)
        if record.value is None or names is None or (self._build and build != self._build):
            return None
        if self._group and group != self._group:
            return None
        return change_shown(names, group, self._codec.decode(record.value))


def change_shown(names: Sequence[str], group: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of the change topic as queries show rows."""
    shown = {name: plain(each) for name, each in value.items()}
    return {
        "key": dict(zip(names, orjson.loads(group), strict=True)),
        "start": shown.get("window_start"),
        "end": shown.get("window_end"),
        "state": CLOSED if shown.get("final") else OPEN,
        "values": {name: each for name, each in shown.items() if name not in RESERVED and name not in names},
        "watermark": shown.get("watermark"),
        "build": shown.get("build"),
    }


class Feeds:
    """Opens feeds.

    Args:
        config: How to reach Kafka.
        topics: What is known of topics.
        codec: Decodes changes.
    """

    def __init__(self, config: LaneConfig, topics: Topics, codec: Codec) -> None:
        self._config = config
        self._topics = topics
        self._codec = codec

    @asynccontextmanager
    async def open(
        self,
        topic: str,
        place: Mapping[int, int] | None,
        parts: Callable[[str], Sequence[str] | None],
        wanted: tuple[str, str],
    ) -> AsyncIterator[Feed]:
        """Open a feed.

        Args:
            topic: The change topic.
            place: Next offsets by partition; None for the end of the topic.
            parts: See `Feed`.
            wanted: See `Feed`.

        Raises:
            NotFoundError: There is no such topic.
            InvalidInputError: The place is not one of this feed.
            GoneError: What comes after the place has left the topic.
            TransientError: Kafka does not answer.
        """
        await self._topics.ensure([topic])
        info = self._topics.get(topic)
        if info is None:
            raise NotFoundError(
                f"topic {topic} is not there yet", hint="it is made when a definition is active"
            )
        group = wanted[1]
        numbers = [partition_of(group.encode(), info.partitions)] if group else range(info.partitions)
        async with open_reader(self._config) as reader:
            tps = [TopicPartition(topic, number) for number in numbers]
            begins, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
            at = {tp: ends[tp] for tp in tps}
            if place is not None:
                if place.keys() != {tp.partition for tp in tps}:
                    hint = "send the id of a change of this very stream"
                    raise InvalidInputError(
                        "that place is not one of these changes", field="Last-Event-ID", hint=hint
                    )
                at = {tp: place[tp.partition] for tp in tps}
                if any(at[tp] < begins[tp] or at[tp] > ends[tp] for tp in tps):
                    raise GoneError
            await assign_at(reader, at)
            yield Feed(
                reader, self._codec, {tp.partition: offset for tp, offset in at.items()}, parts, wanted
            )
