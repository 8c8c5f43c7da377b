"""The definition of an aggregation: what a team writes, checked before it becomes active."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Final

import msgspec

from tables.aggregations.calculation import DAY_MS, Build, Calculation, Span, Start, within
from tables.aggregations.errors import AggregationError
from tables.aggregations.function import FunctionSpec
from tables.aggregations.refusals import translated
from tables.aggregations.window import WindowKind, WindowSpec

PLATFORM: Final = "fleet."
"""How the names of the platform's own topics begin: no aggregation writes to them."""
RESERVED: Final = frozenset({"window_start", "window_end", "final", "watermark", "build"})
"""Fields that every result has."""

_Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}\Z")]


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
    every_ms: Annotated[int, msgspec.Meta(ge=0, le=DAY_MS)] = 1_000


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much state an aggregation may keep; beyond, it is paused.

    Attributes:
        max_keys: Groups in open and retained windows.
        max_state_mib: Size of their states, MiB.
    """

    max_keys: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 1_000_000
    max_state_mib: Annotated[int, msgspec.Meta(ge=1, le=1_048_576)] = 1_024


class Definition(Calculation, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """One version of an aggregation; the value of its name in ``fleet.config.aggregations``.

    Beside what it says of its calculation, as below, it has the builds of it that there are: a change of the
    calculation of an active one makes another build, which is served once somebody switches to it.

    Attributes:
        name: Unique name, the key in the table.
        version: Counts up by one with every change.
        owner: Team that answers for it.
        output: What is written.
        retention_ms: How long after it has closed a window can be queried, in event time.
        limits: How much state it may keep.
        state: Whether it takes events.
        start: Which events the next build begins with.
        description: What it is for, in a sentence.
        builds: Its builds, the oldest first; the platform sets them.
        serving: Number of the build that is queried and written; 0 for none. The platform sets it.
        paused_because: Why the platform paused it; empty where a person did. The platform sets it.
    """

    name: _Slug
    version: Annotated[int, msgspec.Meta(ge=1)]
    owner: _Slug
    output: Output = Output()
    retention_ms: Span = 7 * DAY_MS
    limits: Limits = Limits()
    state: State = State.DRAFT
    start: Start = Start.LATEST
    description: str = ""
    builds: tuple[Build, ...] = ()
    serving: Annotated[int, msgspec.Meta(ge=0)] = 0
    paused_because: str = ""


_PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "": Definition,
    "functions[]": FunctionSpec,
    "windows": WindowSpec,
    "output": Output,
    "limits": Limits,
    "builds[]": Build,
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


def _refused(field: str, what: str, hint: str) -> AggregationError:
    return AggregationError(f"{field}: {what}", field=field, hint=hint)


def _named(error: AggregationError, found: Mapping[str, Any]) -> AggregationError:
    name = found.get("name")
    return error.of(name) if isinstance(name, str) else error
