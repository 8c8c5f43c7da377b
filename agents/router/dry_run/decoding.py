"""Codecs and schemas as a dry-run needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.codec import Codec
from schemas.registry import SubjectVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.codec import SchemaSource


class NotingCodec(Codec):
    """A codec that notes whether fields of an event were decoded.

    Attributes:
        has_decoded: Whether they were, or it was tried, since somebody set it to False.
    """

    has_decoded = False

    def projector(self, wanted: frozenset[str]) -> Callable[[bytes], dict[str, Any]]:
        """Return what decodes the fields `wanted` alone, and notes it."""
        decode = super().projector(wanted)

        def noted(value: bytes) -> dict[str, Any]:
            self.has_decoded = True
            return decode(value)

        return noted


class WithDrafts:
    """A source of schemas that also has those which nobody has registered yet.

    Args:
        registry: The registry.
        drafts: Further schemas by id.
    """

    def __init__(self, registry: SchemaSource, drafts: Mapping[int, dict[str, Any]]) -> None:
        self._registry = registry
        self._drafts = drafts

    async def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the Avro schema of an id."""
        draft = self._drafts.get(schema_id)
        return await self._registry.schema(schema_id) if draft is None else draft

    async def latest(self, subject: str) -> SubjectVersion:
        """Return the newest version of a subject."""
        return await self._registry.latest(subject)
