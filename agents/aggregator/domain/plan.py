"""The aggregations as both stages use them: compiled once a version, one immutable snapshot a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from agents.aggregator.domain.functions import Function, parse_function
from agents.aggregator.domain.windowing import Windows, parse_windows
from tables.aggregations.calculation import Build, Start
from tables.aggregations.definition import Definition, State, parse_definition


def build_id(name: str, number: int | str) -> str:
    """Return the id of a build, or with an empty number what those of an aggregation begin with.

    Names have no ``~``.
    """
    return f"{name}~{number}"


@dataclass(frozen=True, eq=False)
class Compiled:
    """One build of an aggregation, ready to be used.

    Attributes:
        id: ``<name>~<number>``, which keys of its state begin with.
        definition: The aggregation.
        build: The build.
    """

    id: str
    definition: Definition
    build: Build

    @property
    def takes_events(self) -> bool:
        """Whether the first stage aggregates events for it."""
        return self.definition.state is State.ACTIVE

    @property
    def serves(self) -> bool:
        """Whether it is the build that is queried, and that writes to the topic."""
        return self.definition.serving == self.build.number

    @property
    def has_history(self) -> bool:
        """Whether what was there before it began is read too."""
        return self.build.start is Start.EARLIEST

    @cached_property
    def windows(self) -> Windows:
        """What cuts event time."""
        return parse_windows(self.build.windows, self.build.grace_ms)

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """What computes its functions, in their order."""
        return tuple(map(parse_function, self.build.functions))


@dataclass(frozen=True, eq=False)
class Plan:
    """All builds at one moment.

    Attributes:
        builds: Builds of aggregations that are not deleted, by id.
        offset: Where the table of definitions stood.
    """

    builds: Mapping[str, Compiled]
    offset: int

    @cached_property
    def by_source(self) -> dict[str, tuple[Compiled, ...]]:
        """Builds that take events, by event type."""
        found: dict[str, list[Compiled]] = {}
        for each in self.builds.values():
            for source in each.build.sources if each.takes_events else ():
                found.setdefault(source, []).append(each)
        return {source: tuple(builds) for source, builds in found.items()}

    @cached_property
    def serving(self) -> dict[str, Compiled]:
        """The build that is served, by name of the aggregation."""
        return {each.definition.name: each for each in self.builds.values() if each.serves}


@dataclass
class Planner:
    """Makes plans; what has not changed is not compiled again."""

    _known: dict[str, Compiled] = field(default_factory=dict)

    def parse(self, key: str, value: bytes) -> Definition:
        """Return a row of the table of definitions; see `parse_definition`."""
        del key
        return parse_definition(value)

    def plan(self, rows: Mapping[str, Definition], offset: int) -> Plan:
        """Return the plan of all rows by key."""
        builds: dict[str, Compiled] = {}
        for definition in rows.values():
            for build in () if definition.state is State.DELETED else definition.builds:
                name = build_id(definition.name, build.number)
                known = self._known.get(name)
                same = known is not None and known.build == build and known.definition is definition
                builds[name] = known if known is not None and same else Compiled(name, definition, build)
        self._known = builds
        return Plan(builds, offset)
