"""Copies that differ from their event: another key, or a projection in place of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fleet.cel.errors import EvaluationError
from fleet.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from fleet.lane import Record
    from schemas.codec import Codec
    from tables.routes.rule import Rule

Values = Callable[[Mapping[str, str], Mapping[str, Any]], dict[str, Any]]


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
        rule: The rule; it has a projection or a key.
        codec: Decodes events and encodes what the projection gives.
    """

    def __init__(self, rule: Rule, codec: Codec) -> None:
        self._codec = codec
        self._key = rule.compiled_key
        self._values = None if rule.projection is None else values_of(rule)
        self._schema_id = rule.output_schema
        read = fields_read(rule)
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
            key = self._key.function(attributes, dict, event)
        except EvaluationError as error:
            raise ShapeError("key", error.message) from None
        if type(key) is not str:
            raise ShapeError("key", f"the key must be a string, got {type(key).__name__}")
        return key.encode()

    def _value_of(
        self, record: Record, attributes: Mapping[str, str], event: Mapping[str, Any]
    ) -> bytes | None:
        if self._values is None:
            return record.value
        if self._schema_id is None:
            raise ShapeError("projection", "the rule has no schema for it: save the rule again")
        try:
            return self._codec.encode_as(self._schema_id, self._values(attributes, event))
        except EvaluationError as error:
            raise ShapeError("projection", error.message) from None
        except PermanentError as error:
            raise ShapeError("projection", error.message) from None


def shape_of(rule: Rule, codec: Codec) -> Shape | None:
    """Return what makes the copies of `rule`; None where they are the event as it is."""
    return None if rule.projection is None and rule.compiled_key is None else Shape(rule, codec)


def output_schemas(rules: tuple[Rule, ...]) -> set[int]:
    """Return the schema ids that copies are encoded with."""
    return {rule.output_schema for rule in rules if rule.projection and rule.output_schema is not None}


def fields_read(rule: Rule) -> frozenset[str]:
    """Return the fields of events that the copies of `rule` are made of."""
    expressions = (rule.compiled_key, *rule.computed.values())
    kept = () if rule.projection is None else (*rule.projection.keep, *rule.projection.rename.values())
    return frozenset(kept).union(*(each.fields for each in expressions if each is not None))


def values_of(rule: Rule) -> Values:
    """Return what gives the fields of a projection, by attributes and event; what is missing is null."""
    projection = rule.projection
    if projection is None:
        raise TransientError(f"rule {rule.name} has no projection")
    moved = [(name, name) for name in projection.keep]
    moved += list(projection.rename.items())
    computed = [(name, each.function) for name, each in rule.computed.items()]

    def values(attributes: Mapping[str, str], event: Mapping[str, Any]) -> dict[str, Any]:
        found = {new: event.get(old) for new, old in moved}
        for name, function in computed:
            found[name] = function(attributes, dict, event)
        return found

    return values


def no_fields(value: bytes) -> dict[str, Any]:
    """Return the fields of an event of which none are read."""
    del value
    return {}
