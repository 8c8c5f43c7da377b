"""Which builds an aggregation has after a change, and which of them is served; pure."""

from __future__ import annotations

from typing import Final

import msgspec

from tables.aggregations.calculation import Build, Calculation, Start
from tables.aggregations.definition import Definition, State
from tables.aggregations.errors import AggregationError
from tables.errors import ConflictError, NotFoundError

MAX_BUILDS: Final = 4
"""Builds that an aggregation has at most: each has its own state, and reads all events again."""

_CALCULATION: Final = Calculation.__struct_fields__


def rebuilt(definition: Definition, before: Definition | None) -> Definition:
    """Return an aggregation with the builds that it has once it replaces the one before.

    One that is active has a build of its calculation: one that is there already, or a further one, numbered
    by the version; the first is served at once, a later one once somebody switches to it. No build is lost
    but with a definition that is deleted. Whatever `definition` itself says of builds is passed over.

    Args:
        definition: The aggregation as it is to be, with the types of its arguments if it is active.
        before: The aggregation that it replaces; None where there is none.

    Raises:
        AggregationError: It has as many builds as it may.
    """
    builds: tuple[Build, ...] = ()
    serving, because = 0, ""
    if before is not None and definition.state is not State.DELETED:
        builds, serving = before.builds, before.serving
        if definition.state is before.state is State.PAUSED:
            because = before.paused_because
    if definition.state is State.ACTIVE and not any(_covers(each, definition) for each in builds):
        builds = (*builds, _next(definition, builds))
        serving = serving or definition.version
    return msgspec.structs.replace(definition, builds=builds, serving=serving, paused_because=because)


def switched(definition: Definition, to: int) -> Definition:
    """Return an aggregation that serves build `to`.

    Raises:
        NotFoundError: It has no such build.
    """
    return msgspec.structs.replace(definition, serving=_number(definition, to))


def discarded(definition: Definition, number: int) -> Definition:
    """Return an aggregation without a build.

    Raises:
        NotFoundError: It has no such build.
        ConflictError: That is the one that is served.
    """
    if _number(definition, number) == definition.serving:
        raise ConflictError(
            f"build {number} of aggregation {definition.name!r} is the one that is served",
            version=definition.version,
            hint="switch to another build first, or delete the aggregation",
        )
    left = tuple(each for each in definition.builds if each.number != number)
    return msgspec.structs.replace(definition, builds=left)


def _covers(build: Build, definition: Definition) -> bool:
    """Return whether a build gives what a definition asks for: one with all history gives any."""
    same = all(getattr(build, name) == getattr(definition, name) for name in _CALCULATION)
    return same and (build.start is Start.EARLIEST or build.start is definition.start)


def _next(definition: Definition, builds: tuple[Build, ...]) -> Build:
    if len(builds) >= MAX_BUILDS:
        numbers = ", ".join(str(each.number) for each in builds)
        raise AggregationError(
            f"builds: it has {len(builds)} of them ({numbers}), and this change needs another",
            field="builds",
            hint="discard one that is not served",
        ).of(definition.name)
    calculation = {name: getattr(definition, name) for name in _CALCULATION}
    return Build(**calculation, number=definition.version, start=definition.start)


def _number(definition: Definition, number: int) -> int:
    numbers = [each.number for each in definition.builds]
    if number not in numbers:
        there = f"its builds are {', '.join(map(str, numbers))}" if numbers else "activate it first"
        raise NotFoundError(f"aggregation {definition.name!r} has no build {number}", hint=there)
    return number
