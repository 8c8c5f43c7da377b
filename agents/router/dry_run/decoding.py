"""Codecs and schemas as a dry-run needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.codec import Codec
from schemas.registry import SubjectVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.codec import SchemaSource
    from schemas.projection import Classes, Classifier


class NotingCodec(Codec):
    """A codec that notes whether an event was read.

    Attributes:
        has_read: Whether its fields were looked at, or it was tried, since somebody set it to False.
    """

    has_read = False

    def projector(self, wanted: frozenset[str]) -> Callable[[bytes], dict[str, Any]]:
        """Return what decodes the fields `wanted` alone, and notes it."""
        decode = super().projector(wanted)

        def noted(value: bytes) -> dict[str, Any]:
            self.has_read = True
            return decode(value)

        return noted

    def classifier(self, header: bytes, tests: Mapping[str, Classes]) -> Classifier | None:
        """Return what gives the classes of an event's fields, and notes it."""
        classify = super().classifier(header, tests)
        if classify is None:
            return None

        def noted(value: bytes, start: int) -> bytes | None:
            self.has_read = True
            return classify(value, start)

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
