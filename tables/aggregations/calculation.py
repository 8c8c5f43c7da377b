"""What an aggregation computes: of which events, by which groups and windows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Annotated, Final

import msgspec

from fleet.cel.condition import Condition, compile_condition
from fleet.cel.errors import ExpressionError
from fleet.cel.expression import Expression, compile_expression
from tables.aggregations.errors import AggregationError
from tables.aggregations.function import FunctionSpec
from tables.aggregations.window import WindowKind, WindowSpec

MAX_SOURCES: Final = 20
MAX_GROUPS: Final = 10
MAX_FUNCTIONS: Final = 50
EVENT_TIME: Final = "timestamp(attributes.time)"
"""Event time where a definition names none: the CloudEvents attribute."""
DAY_MS: Final = 86_400_000

_MAX_MS: Final = 100 * 366 * DAY_MS
_EventType = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,248}\Z")]
_Field = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
_Sources = Annotated[tuple[_EventType, ...], msgspec.Meta(min_length=1, max_length=MAX_SOURCES)]
_Groups = Annotated[dict[_Field, str], msgspec.Meta(min_length=1, max_length=MAX_GROUPS)]
_Functions = Annotated[tuple[FunctionSpec, ...], msgspec.Meta(min_length=1, max_length=MAX_FUNCTIONS)]
Span = Annotated[int, msgspec.Meta(ge=0, le=_MAX_MS)]


class Start(Enum):
    """Which events a build begins with: those from now on, or all that its topics still have."""

    LATEST = "latest"
    EARLIEST = "earliest"


class Calculation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """What is computed; two that are equal have equal results.

    Attributes:
        sources: Event types whose events it takes.
        group_by: CEL that gives each part of the group key, by name.
        functions: What is computed.
        windows: How time is cut.
        filter: CEL over ``attributes`` and ``event``, which an event has to meet.
        event_time: CEL that gives the event time, a timestamp.
        grace_ms: How long after its end a window waits for late events, in event time.
    """

    sources: _Sources
    group_by: _Groups
    functions: _Functions
    windows: WindowSpec = WindowSpec(kind=WindowKind.NONE)
    filter: str = "true"
    event_time: str = EVENT_TIME
    grace_ms: Span = 0

    @property
    def compiled_filter(self) -> Condition:
        """The filter, compiled once per text.

        Raises:
            AggregationError: It does not parse or is not supported.
        """
        try:
            return compile_condition(self.filter)
        except ExpressionError as error:
            raise AggregationError.in_field("filter", error) from None

    @property
    def compiled_event_time(self) -> Expression:
        """What gives the event time.

        Raises:
            AggregationError: It does not parse or is not supported.
        """
        return _expression("event_time", self.event_time)

    @property
    def compiled_groups(self) -> dict[str, Expression]:
        """What gives the parts of the group key, by name.

        Raises:
            AggregationError: One does not parse or is not supported.
        """
        return {name: _expression(f"group_by.{name}", text) for name, text in self.group_by.items()}

    @property
    def fields(self) -> frozenset[str]:
        """Fields of events that it reads, ``payer`` or ``payer.id``: no others need be decoded."""
        return frozenset().union(*(each.fields for each in self.expressions().values()))

    def expressions(self) -> dict[str, Expression]:
        """Return all its expressions by the field that they are in.

        Raises:
            AggregationError: One does not parse or is not supported.
        """
        found = {"filter": self.compiled_filter, "event_time": self.compiled_event_time}
        found |= {f"group_by.{name}": each for name, each in self.compiled_groups.items()}
        for place, function in enumerate(self.functions):
            with within(place):
                compiled = {"of": function.compiled_of, "where": function.compiled_where}
            found |= {f"functions[{place}].{name}": each for name, each in compiled.items() if each}
        return found


class Build(Calculation, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """One calculation of an aggregation, with state of its own; a changed one is built beside the one before.

    Attributes:
        number: Version of the definition that it began with.
        start: Which events it begins with.
        output_schema: Schema id of its results.
    """

    number: Annotated[int, msgspec.Meta(ge=1)]
    start: Start = Start.LATEST
    output_schema: int | None = None


@contextmanager
def within(place: int) -> Iterator[None]:
    """Say of errors of a function which one it is."""
    try:
        yield
    except AggregationError as error:
        where = f"functions[{place}]"
        raise AggregationError(
            f"{where}.{error.message}",
            field=f"{where}.{error.field}",
            line=error.line,
            column=error.column,
            hint=error.hint,
        ) from None


def _expression(field: str, text: str) -> Expression:
    try:
        return compile_expression(text)
    except ExpressionError as error:
        raise AggregationError.in_field(field, error) from None
