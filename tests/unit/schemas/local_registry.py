"""A schema source in memory, whose outages and denials a test controls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleet.errors import PermanentError, TransientError
from schemas.registry import UNKNOWN_SCHEMA_ID, UNKNOWN_SUBJECT, SubjectVersion


@dataclass
class LocalRegistry:
    """Satisfies `schemas.codec.SchemaSource`; counts the look-ups by id."""

    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    subjects: dict[str, int] = field(default_factory=dict)
    down: bool = False
    lookups: list[int] = field(default_factory=list)

    async def schema(self, schema_id: int) -> dict[str, Any]:
        """Return a schema, or fail as the registry client does."""
        self.lookups.append(schema_id)
        self._check_up()
        if schema_id not in self.schemas:
            raise PermanentError(f"Schema {schema_id} not found.", reason=UNKNOWN_SCHEMA_ID)
        return self.schemas[schema_id]

    async def latest(self, subject: str) -> SubjectVersion:
        """Return the schema of a subject, or fail as the registry client does."""
        self._check_up()
        if subject not in self.subjects:
            raise PermanentError(f"Subject '{subject}' not found.", reason=UNKNOWN_SUBJECT)
        schema_id = self.subjects[subject]
        return SubjectVersion(1, schema_id, self.schemas[schema_id])

    def _check_up(self) -> None:
        if self.down:
            raise TransientError("no answer from the schema registry")


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now_s
