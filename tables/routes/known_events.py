"""The event types that the schema registry knows, and the schemas of what projections give."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from fleet.errors import PermanentError
from schemas.registry import INCOMPATIBLE_SCHEMA, UNKNOWN_SUBJECT
from tables.routes.errors import RuleError
from tables.routes.rule import EVERY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.registry import Registry
    from tables.routes.rule import Rule

AvroSchema = dict[str, Any]

REMEMBERED_S: Final = 5.0
COMPATIBILITY: Final = "BACKWARD"
_SUFFIX: Final = "-value"
_PLATFORM: Final = "fleet."


class KnownEvents:
    """Asks the registry, and remembers each answer for a few seconds: a change may be decided several times.

    Args:
        registry: The schema registry.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._schemas: dict[str, tuple[float, AvroSchema | None]] = {}
        self._types: tuple[float, tuple[str, ...]] = (0.0, ())

    async def covered(self, rule: Rule) -> dict[str, AvroSchema]:
        """Return the newest schema of each event type that the source of `rule` covers.

        Raises:
            TransientError: The registry does not answer.
        """
        names = [rule.source]
        if EVERY in rule.source:
            names = [name for name in await self._every_type() if rule.looks_at(name)]
        return await self.schemas(names)

    async def schemas(self, event_types: Iterable[str]) -> dict[str, AvroSchema]:
        """Return the newest schema of each of these event types that has one.

        Raises:
            TransientError: The registry does not answer.
        """
        found = {name: await self._schema(name) for name in event_types}
        return {name: schema for name, schema in found.items() if schema is not None}

    async def register(self, rule: Rule, schema: AvroSchema) -> int:
        """Register what the projection of `rule` gives, and return the id of the schema.

        Raises:
            RuleError: Readers of older copies could not read it.
            TransientError: The registry does not answer.
        """
        try:
            return await self.register_as(f"fleet.routes.{rule.name}", schema)
        except PermanentError as error:
            if error.reason != INCOMPATIBLE_SCHEMA:
                raise
            raise RuleError(
                "projection: who reads the copies made so far could not read the new ones",
                field="projection",
                hint="give a field that changes its type another name",
            ).of(rule.name) from error

    async def register_as(self, subject: str, schema: AvroSchema) -> int:
        """Register a derived schema whose next versions have to read what was written, and return its id.

        Raises:
            PermanentError: It is refused, ``incompatible_schema`` where it cannot read what was written.
            TransientError: The registry does not answer.
        """
        try:
            await self._registry.latest(subject)
        except PermanentError as error:
            if error.reason != UNKNOWN_SUBJECT:
                raise
            await self._registry.require_compatible(subject, COMPATIBILITY)
        registered = await self._registry.register(subject, schema)
        self._schemas.pop(subject.removesuffix(_SUFFIX), None)
        return registered

    async def _every_type(self) -> tuple[str, ...]:
        expires, types = self._types
        if expires <= time.monotonic():
            subjects = await self._registry.subjects()
            types = tuple(
                subject.removesuffix(_SUFFIX)
                for subject in sorted(subjects)
                if subject.endswith(_SUFFIX) and not subject.startswith(_PLATFORM)
            )
            self._types = (time.monotonic() + REMEMBERED_S, types)
        return types

    async def _schema(self, event_type: str) -> AvroSchema | None:
        expires, schema = self._schemas.get(event_type, (0.0, None))
        if expires <= time.monotonic():
            try:
                schema = (await self._registry.latest(f"{event_type}{_SUFFIX}")).schema
            except PermanentError as error:
                if error.reason != UNKNOWN_SUBJECT:
                    raise
                schema = None
            self._schemas[event_type] = (time.monotonic() + REMEMBERED_S, schema)
        return schema
