"""The catalogue's schemas as a registry would give them, without a registry."""

from __future__ import annotations

from typing import Any

from fleet.errors import PermanentError
from schemas.catalogue import load_catalogue
from schemas.codec import Codec
from schemas.registry import UNKNOWN_SCHEMA_ID, UNKNOWN_SUBJECT, SubjectVersion


class CatalogueSchemas:
    """Knows each subject of the catalogue, at ids from 1, and nothing else."""

    def __init__(self) -> None:
        self._subjects = load_catalogue().subjects()
        self._ids = {subject: number for number, subject in enumerate(self._subjects, 1)}

    async def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the schema of an id."""
        for subject, known in self._ids.items():
            if known == schema_id:
                return self._subjects[subject]
        raise PermanentError(f"Schema {schema_id} not found.", reason=UNKNOWN_SCHEMA_ID)

    async def latest(self, subject: str) -> SubjectVersion:
        """Return the schema of a subject."""
        if subject not in self._subjects:
            raise PermanentError(f"Subject '{subject}' not found.", reason=UNKNOWN_SUBJECT)
        return SubjectVersion(1, self._ids[subject], self._subjects[subject])


def new_codec() -> Codec:
    """Return a codec over the catalogue that believes at once that an id is unknown."""
    return Codec(CatalogueSchemas(), confirm_s=0.0)


async def warmed_codec() -> Codec:
    """Return a codec that can encode and decode every subject of the catalogue."""
    codec = new_codec()
    await codec.warm(load_catalogue().subjects())
    return codec
