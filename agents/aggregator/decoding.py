"""From records to columns of events, with what builds read of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from agents.aggregator.domain.events import Events
from fleet.errors import PermanentError
from fleet.lane import DeadLetter, Record, select_headers

if TYPE_CHECKING:
    from agents.aggregator.domain.plan import Compiled
    from schemas.codec import Codec

STEP: Final = "decode"
_NONE: Final[Mapping[str, Any]] = {}
_KEPT: Final = 1_000


class Decoder:
    """Decodes what some builds read of events.

    Args:
        codec: Decodes events.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._select = lru_cache(maxsize=_KEPT)(select_headers)

    def events(
        self, builds: Iterable[Compiled], records: Sequence[Record]
    ) -> tuple[Events, Sequence[Record], list[DeadLetter]]:
        """Return the events of records of one partition, their records, and those that cannot be decoded."""
        read = [each.build.expressions().values() for each in builds]
        fields = frozenset[str]().union(*(each.fields for found in read for each in found))
        names = sorted(frozenset[str]().union(*(each.attributes for found in read for each in found)))
        decoded, letters = self._decoded(records, fields)
        if letters:
            refused = {id(letter.record) for letter in letters}
            records = [record for record in records if id(record) not in refused]
        first = records[0] if records else None
        events = Events(
            "" if first is None else first.topic,
            0 if first is None else first.partition,
            [record.offset for record in records],
            [record.timestamp for record in records],
            self._attributes(records, names),
            decoded,
        )
        return events, records, letters

    def _decoded(
        self, records: Sequence[Record], fields: frozenset[str]
    ) -> tuple[list[Mapping[str, Any]], list[DeadLetter]]:
        if not fields:
            return [_NONE] * len(records), []
        project = self._codec.projector(fields)
        try:
            return [project(record.value or b"") for record in records], []
        except PermanentError:
            return _one_by_one(records, project)

    def _attributes(self, records: Sequence[Record], names: Sequence[str]) -> Sequence[Mapping[str, str]]:
        if not names:
            return [_NONE] * len(records)
        select = self._select(tuple(f"ce_{name}" for name in names))
        return [
            {
                name: value.decode(errors="replace")
                for name, value in zip(names, select(record), strict=True)
                if value is not None
            }
            for record in records
        ]


def _one_by_one(
    records: Sequence[Record], project: Callable[[bytes], dict[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[DeadLetter]]:
    decoded: list[Mapping[str, Any]] = []
    letters: list[DeadLetter] = []
    for record in records:
        try:
            decoded.append(project(record.value or b""))
        except PermanentError as error:
            letters.append(DeadLetter(record, error.reason, STEP, error.message))
    return decoded, letters
