"""Copies that differ from their event: another key, or a projection in place of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.cel.errors import EvaluationError
from fleet.errors import PermanentError
from tables.routes.projections import Key, Projector, compile_key, compile_projection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.lane import Record
    from schemas.codec import Codec
    from tables.routes.rule import Rule


class ShapeError(Exception):
    """A copy cannot be made of an event.

    Attributes:
        step: ``key`` or ``projection``.
        detail: Why, one line, free of event contents.
    """

    def __init__(self, step: str, detail: str) -> None:
        super().__init__(detail)
        self.step = step
        self.detail = detail


class Shape:
    """Makes key and value of the copies of one rule.

    Args:
        key: Gives the key; None where it stays.
        projector: Gives what the copies hold; None where that is the event.
        schema_id: Schema of what it gives.
        codec: Decodes events and encodes what the projection gives.
    """

    def __init__(
        self, key: Key | None, projector: Projector | None, schema_id: int | None, codec: Codec
    ) -> None:
        self._key = key
        self._projector = projector
        self._schema_id = schema_id
        self._codec = codec
        read = frozenset[str]().union(*(each.fields for each in (key, projector) if each is not None))
        self._project = codec.projector(read) if read else no_fields

    def make(self, record: Record, attributes: Mapping[str, str]) -> tuple[bytes | None, bytes | None]:
        """Return key and value of the copy of `record`.

        Raises:
            ShapeError: An expression fails, or gives what the schema does not take.
            PermanentError: The event cannot be decoded.
            TransientError: The schema is not looked up yet.
        """
        event = self._project(record.value or b"")
        return self._key_of(record, attributes, event), self._value_of(record, attributes, event)

    def _key_of(
        self, record: Record, attributes: Mapping[str, str], event: Mapping[str, Any]
    ) -> bytes | None:
        if self._key is None:
            return record.key
        try:
            return self._key.of(attributes, event)
        except EvaluationError as error:
            raise ShapeError("key", error.message) from None

    def _value_of(
        self, record: Record, attributes: Mapping[str, str], event: Mapping[str, Any]
    ) -> bytes | None:
        if self._projector is None:
            return record.value
        if self._schema_id is None:
            raise ShapeError("projection", "the rule has no schema for it: save the rule again")
        try:
            return self._codec.encode_as(self._schema_id, self._projector.project(attributes, event))
        except PermanentError as error:
            raise ShapeError("projection", error.message) from None


def shape_of(rule: Rule, codec: Codec) -> Shape | None:
    """Return what makes the copies of `rule`; None where they are the event as it is."""
    key, projector = compile_key(rule), compile_projection(rule)
    return None if key is None and projector is None else Shape(key, projector, rule.output_schema, codec)


def no_fields(value: bytes) -> dict[str, Any]:
    """Return the fields of an event of which none are read."""
    del value
    return {}
