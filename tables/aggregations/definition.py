"""The definition of an aggregation: what a team writes, checked before it becomes active."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Annotated, Any, Final

import msgspec

from fleet.cel.condition import Condition, compile_condition
from fleet.cel.errors import ExpressionError
from fleet.cel.expression import Expression, compile_expression
from tables.aggregations.errors import AggregationError
from tables.aggregations.function import FunctionSpec
from tables.aggregations.refusals import translated
from tables.aggregations.window import WindowKind, WindowSpec

MAX_SOURCES: Final = 20
MAX_GROUPS: Final = 10
MAX_FUNCTIONS: Final = 50
PLATFORM: Final = "fleet."
"""How the names of the platform's own topics begin: no aggregation writes to them."""
EVENT_TIME: Final = "timestamp(attributes.time)"
"""Event time where a definition names none: the CloudEvents attribute."""
RESERVED: Final = frozenset({"window_start", "window_end", "final", "watermark", "late"})
"""Fields that every result has."""

_DAY_MS: Final = 86_400_000
_MAX_MS: Final = 100 * 366 * _DAY_MS

_Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}\Z")]
_EventType = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,248}\Z")]
_Field = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
_Sources = Annotated[tuple[_EventType, ...], msgspec.Meta(min_length=1, max_length=MAX_SOURCES)]
_Groups = Annotated[dict[_Field, str], msgspec.Meta(min_length=1, max_length=MAX_GROUPS)]
_Functions = Annotated[tuple[FunctionSpec, ...], msgspec.Meta(min_length=1, max_length=MAX_FUNCTIONS)]
_Span = Annotated[int, msgspec.Meta(ge=0, le=_MAX_MS)]


class State(Enum):
    """Life of an aggregation: only ``active`` ones take events."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    DELETED = "deleted"


class OutputMode(Enum):
    """What is written to the change topic: changes as they come, one final per window and group, or both."""

    UPDATES = "updates"
    FINALS = "finals"
    BOTH = "both"


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an aggregation writes.

    Attributes:
        topic: Change topic; empty for none: results are then only queried.
        mode: What is written there.
        every_ms: Updates of one window and group are so far apart at least; the newest is written.
    """

    topic: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]{0,248})?\Z")] = ""
    mode: OutputMode = OutputMode.UPDATES
    every_ms: Annotated[int, msgspec.Meta(ge=0, le=_DAY_MS)] = 1_000


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much state an aggregation may keep; beyond, it is paused.

    Attributes:
        max_keys: Groups in open and retained windows.
        max_state_mib: Size of their states, MiB.
    """

    max_keys: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 1_000_000
    max_state_mib: Annotated[int, msgspec.Meta(ge=1, le=1_048_576)] = 1_024


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """One version of an aggregation; the value of its name in ``fleet.config.aggregations``.

    Attributes:
        name: Unique name, the key in the table.
        version: Counts up by one with every change.
        owner: Team that answers for it.
        sources: Event types whose events it takes.
        filter: CEL over ``attributes`` and ``event``, which an event has to meet.
        event_time: CEL that gives the event time, a timestamp.
        group_by: CEL that gives each part of the group key, by name.
        windows: How time is cut.
        functions: What is computed.
        output: What is written.
        grace_ms: How long after its end a window waits for late events, in event time.
        retention_ms: How long after it has closed a window can be queried, in event time.
        limits: How much state it may keep.
        state: Whether it takes events.
        description: What it is for, in a sentence.
        output_schema: Schema id of its results; the platform sets it.
    """

    name: _Slug
    version: Annotated[int, msgspec.Meta(ge=1)]
    owner: _Slug
    sources: _Sources
    group_by: _Groups
    functions: _Functions
    windows: WindowSpec = WindowSpec(kind=WindowKind.NONE)
    filter: str = "true"
    event_time: str = EVENT_TIME
    output: Output = Output()
    grace_ms: _Span = 0
    retention_ms: _Span = 7 * _DAY_MS
    limits: Limits = Limits()
    state: State = State.DRAFT
    description: str = ""
    output_schema: int | None = None

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


_PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "": Definition,
    "functions[]": FunctionSpec,
    "windows": WindowSpec,
    "output": Output,
    "limits": Limits,
}


def parse_definition(data: bytes | Mapping[str, Any]) -> Definition:
    """Return the definition in `data`, with everything in it checked that needs no schema.

    Args:
        data: The definition as JSON, or as the mapping that a YAML file gives.

    Raises:
        AggregationError: Names the aggregation, the field and the reason; for an expression also line and
            column.
    """
    try:
        found = msgspec.json.decode(data) if isinstance(data, bytes) else data
    except msgspec.DecodeError as error:
        raise AggregationError(f"aggregation is not JSON: {error}") from None
    except RecursionError:
        raise AggregationError("aggregation is not JSON of one: nested too deeply") from None
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise AggregationError(
            "aggregation must be an object with name, version, owner, sources, group_by and functions"
        )
    try:
        definition = msgspec.convert(dict(found), Definition)
        _check(definition)
    except msgspec.ValidationError as error:
        raise _named(translated(str(error), _PARTS), found) from None
    except AggregationError as error:
        raise _named(error, found) from None
    return definition


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


def _check(definition: Definition) -> None:
    topic = definition.output.topic
    if topic.startswith(PLATFORM):
        raise _refused("output.topic", f"{topic!r} belongs to the platform", "choose a topic of a team")
    if topic in definition.sources:
        raise _refused("output.topic", f"{topic!r} is a source", "choose another topic")
    if len(set(definition.sources)) != len(definition.sources):
        raise _refused("sources", "an event type is named twice", "name each once")
    _check_windows(definition)
    for place, function in enumerate(definition.functions):
        with within(place):
            function.check()
    _check_names(definition)
    definition.expressions()


def _check_windows(definition: Definition) -> None:
    try:
        definition.windows.check()
    except AggregationError as error:
        field = f"windows.{error.field}"
        raise AggregationError(f"windows.{error.message}", field=field, hint=error.hint) from None
    if definition.windows.kind is WindowKind.NONE and definition.output.mode is not OutputMode.UPDATES:
        raise _refused("output.mode", "without windows nothing is ever final", "write updates")


def _check_names(definition: Definition) -> None:
    taken = set(RESERVED) | definition.group_by.keys()
    reserved = sorted(RESERVED & definition.group_by.keys())
    if reserved:
        raise _refused(f"group_by.{reserved[0]}", "every result has a field of that name", "choose another")
    for place, function in enumerate(definition.functions):
        if function.name in taken:
            field = f"functions[{place}].as"
            raise _refused(field, f"there is another field {function.name!r}", "choose another name")
        taken.add(function.name)


def _expression(field: str, text: str) -> Expression:
    try:
        return compile_expression(text)
    except ExpressionError as error:
        raise AggregationError.in_field(field, error) from None


def _refused(field: str, what: str, hint: str) -> AggregationError:
    return AggregationError(f"{field}: {what}", field=field, hint=hint)


def _named(error: AggregationError, found: Mapping[str, Any]) -> AggregationError:
    name = found.get("name")
    return error.of(name) if isinstance(name, str) else error
