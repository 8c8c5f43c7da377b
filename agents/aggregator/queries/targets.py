"""Which build a query is about."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agents.aggregator.domain.plan import Compiled, Plan, build_id
from agents.aggregator.queries.asked import Parts, instant_text
from fleet.errors import TransientError
from tables.aggregations.window import WindowKind
from tables.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from schemas.codec import SchemaSource

READY_LIMIT_S: Final = 5.0
_MAX_SCHEMAS: Final = 1_000


@dataclass(frozen=True)
class Target:
    """What is queried.

    Attributes:
        compiled: The build.
        parts: Its group key.
    """

    compiled: Compiled
    parts: Parts

    @property
    def id(self) -> str:
        """Id of the build."""
        return self.compiled.id

    @property
    def name(self) -> str:
        """Name of the aggregation."""
        return self.compiled.definition.name

    @property
    def number(self) -> int:
        """Number of the build."""
        return self.compiled.build.number

    @property
    def kind(self) -> WindowKind:
        """How it cuts time."""
        return self.compiled.build.windows.kind

    @property
    def functions(self) -> list[str]:
        """Names of its results."""
        return [each.spec.name for each in self.compiled.functions]

    def about(self) -> dict[str, Any]:
        """Return what every answer says of it."""
        return {"aggregation": self.name, "build": self.number}

    def shown(self, group: str) -> str:
        """Return a group for people."""
        return ", ".join(f"{name}={value}" for name, value in self.parts.shown(group).items())

    def window_shown(self, start_ms: int) -> str:
        """Return a window for people."""
        if self.kind is WindowKind.NONE:
            return "all time"
        return f"the window that begins at {instant_text(start_ms) or start_ms}"


class Targets:
    """Finds builds by the names and numbers that queries give.

    Args:
        ready: Returns once the definitions have been read.
        plan: Gives all builds as they are now.
        registry: Has the schemas of their results.
    """

    def __init__(
        self, ready: Callable[[], Awaitable[None]], plan: Callable[[], Plan], registry: SchemaSource
    ) -> None:
        self._ready = ready
        self._plan = plan
        self._registry = registry
        self._schemas: dict[int, Mapping[str, Any]] = {}

    async def builds(self, name: str) -> list[Compiled]:
        """Return all builds of an aggregation, the oldest first.

        Raises:
            NotFoundError: It has none.
            TransientError: The definitions have not been read yet.
        """
        try:
            await asyncio.wait_for(self._ready(), READY_LIMIT_S)
        except TimeoutError:
            raise TransientError("the definitions have not been read yet", hint="try again") from None
        found = [each for each in self._plan().builds.values() if each.definition.name == name]
        if not found:
            hint = f"see /v1/aggregations/{name}: it is not there, or was never active"
            raise NotFoundError(f"no aggregation {name!r} has results", hint=hint)
        return sorted(found, key=lambda each: each.build.number)

    async def target(self, name: str, number: int | None) -> Target:
        """Return a build, or the one that is served.

        Args:
            name: Name of the aggregation.
            number: Number of the build; None for the one that is served.

        Raises:
            NotFoundError: There is none.
            TransientError: The definitions have not been read yet, or the registry does not answer.
        """
        builds = await self.builds(name)
        serving = builds[0].definition.serving
        wanted = build_id(name, serving if number is None else number)
        found = next((each for each in builds if each.id == wanted), None)
        if found is None:
            listed = ", ".join(str(each.build.number) for each in builds)
            hint = f"its builds: {listed}; name one with ?build="
            what = f"has no build {number}" if number is not None else "serves no build"
            raise NotFoundError(f"aggregation {name!r} {what}", hint=hint)
        return Target(found, Parts(found.build.group_by, await self._schema(found)))

    def parts_of(self, build: str) -> tuple[str, ...] | None:
        """Return the names of the parts of a build's group key; None where there is no such build."""
        found = self._plan().builds.get(build)
        return None if found is None else tuple(found.build.group_by)

    async def _schema(self, compiled: Compiled) -> Mapping[str, Any]:
        schema_id = compiled.build.output_schema
        if schema_id is None:
            raise InvalidInputError(
                f"build {compiled.id} has no schema of its results", hint="write its definition again"
            )
        if schema_id not in self._schemas:
            if len(self._schemas) >= _MAX_SCHEMAS:
                self._schemas.clear()
            self._schemas[schema_id] = await self._registry.schema(schema_id)
        return self._schemas[schema_id]
