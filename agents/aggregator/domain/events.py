"""Events of one source partition as columns, which builds are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    _columns: dict[tuple[type, str], tuple[list[Any], dict[int, EvaluationError]]] = field(
        default_factory=dict
    )

    def __len__(self) -> int:
        return len(self.offsets)

    def at(self, places: Sequence[int]) -> Events:
        """Return the events at some places; these, where they are all."""
        if len(places) == len(self.offsets):
            return self
        return Events(
            self.topic,
            self.partition,
            [self.offsets[place] for place in places],
            [self.published_ms[place] for place in places],
            [self.attributes[place] for place in places],
            [self.fields[place] for place in places],
        )

    def column(self, expression: Expression) -> tuple[list[Any], dict[int, EvaluationError]]:
        """Return the value of an expression for each event, and what is wrong where it fails, by place.

        It is computed once for all builds that have it. Where it fails the value is None.
        """
        name = type(expression), expression.text
        known = self._columns.get(name)
        if known is None:
            known = self._columns[name] = self._computed(expression)
        return known

    def _computed(self, expression: Expression) -> tuple[list[Any], dict[int, EvaluationError]]:
        function, found = expression.function, zip(self.attributes, self.fields, strict=True)
        try:
            return [function(attributes, _decoded, event) for attributes, event in found], {}
        except EvaluationError:
            return self._one_by_one(expression)

    def _one_by_one(self, expression: Expression) -> tuple[list[Any], dict[int, EvaluationError]]:
        values: list[Any] = []
        failed: dict[int, EvaluationError] = {}
        for place, (attributes, event) in enumerate(zip(self.attributes, self.fields, strict=True)):
            try:
                values.append(expression.function(attributes, _decoded, event))
            except EvaluationError as error:
                values.append(None)
                failed[place] = error
        return values, failed


def epoch_ms(time: datetime) -> int:
    """Return a time in epoch milliseconds, rounded down."""
    since = time - EPOCH
    return since.days * _DAY_MS + since.seconds * 1_000 + since.microseconds // 1_000


def _decoded() -> Mapping[str, Any]:
    raise AssertionError("the event is decoded already")
