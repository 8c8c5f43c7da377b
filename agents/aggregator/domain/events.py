"""Events of one source partition as columns, which builds are computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fleet.cel.errors import EvaluationError
from fleet.cel.expression import Expression

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Events:
    """Decoded events in log order.

    Attributes:
        topic: Their topic.
        partition: Its partition.
        offsets: Offset of each.
        published_ms: When each was published, epoch milliseconds.
        attributes: CloudEvents attributes of each, those that are read.
        fields: Fields of each, those that are read.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    published_ms: Sequence[int]
    attributes: Sequence[Mapping[str, str]]
    fields: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.offsets)

    def at(self, places: Sequence[int]) -> Events:
        """Return the events at some places; these, where they are all."""
        if len(places) == len(self.offsets):
            return self
        return Events(
            self.topic,
            self.partition,
            *([each[place] for place in places] for each in self._columns()),
        )

    def _columns(self) -> tuple[Sequence[Any], ...]:
        return self.offsets, self.published_ms, self.attributes, self.fields


Failed = Callable[[int, EvaluationError], None]


def column(expression: Expression, events: Events, failed: Failed) -> list[Any]:
    """Return the value of an expression for each event; None where it fails.

    Args:
        expression: The expression.
        events: The events.
        failed: Called with the place of an event and what is wrong with it.
    """
    function = expression.function
    try:
        return [
            function(attributes, _decoded, event)
            for attributes, event in zip(events.attributes, events.fields, strict=True)
        ]
    except EvaluationError:
        return [_value(expression, events, place, failed) for place in range(len(events))]


def epoch_ms(time: datetime) -> int:
    """Return a time in epoch milliseconds, rounded down."""
    since = time - EPOCH
    return since.days * _DAY_MS + since.seconds * 1_000 + since.microseconds // 1_000


def _value(expression: Expression, events: Events, place: int, failed: Failed) -> Any:
    try:
        return expression.function(events.attributes[place], _decoded, events.fields[place])
    except EvaluationError as error:
        failed(place, error)
        return None


def _decoded() -> Mapping[str, Any]:
    raise AssertionError("the event is decoded already")
