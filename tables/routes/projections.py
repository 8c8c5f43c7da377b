"""Copies that are not their event as it is: a projection in place of it, or another key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from fleet.cel.compiler import compile_node
from fleet.cel.errors import EvaluationError
from fleet.cel.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fleet.cel.compiler import Compiled
    from tables.routes.rule import Rule


@dataclass(frozen=True, slots=True)
class Projector:
    """Gives what the copies of a rule hold.

    Attributes:
        fields: Fields of the event that it reads, ``payer`` or ``payer.id``: no others need be decoded.
        attributes: CloudEvents attributes that it reads.
        moved: New and old name of the fields that stay as they are.
        computed: Name and function of those that are computed.
    """

    fields: frozenset[str]
    attributes: frozenset[str]
    moved: tuple[tuple[str, str], ...]
    computed: tuple[tuple[str, Compiled], ...]

    def project(self, attributes: Mapping[str, str], event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a copy, as its schema has them; a field that the event has not is null.

        Args:
            attributes: CloudEvents attributes by name, without the ``ce_`` prefix.
            event: The decoded event, or its `fields` alone.

        Raises:
            EvaluationError: An expression fails; names the field.
        """
        get = event.get
        found = {new: get(old) for new, old in self.moved}
        for name, function in self.computed:
            try:
                value = function(attributes, dict, event)
            except EvaluationError as error:
                raise EvaluationError(f"{name}: {error.message}") from None
            convert = _STORED.get(type(value))
            found[name] = value if convert is None else convert(value)
        return found


@dataclass(frozen=True, slots=True)
class Key:
    """Gives the key of the copies of a rule.

    Attributes:
        fields: As of `Projector`.
        attributes: As of `Projector`.
        function: Gives it as a string.
    """

    fields: frozenset[str]
    attributes: frozenset[str]
    function: Compiled

    def of(self, attributes: Mapping[str, str], event: Mapping[str, Any]) -> bytes:
        """Return the key for one event; for the arguments see `Projector.project`.

        Raises:
            EvaluationError: The expression fails, or does not give a string.
        """
        found = self.function(attributes, dict, event)
        if type(found) is not str:
            raise EvaluationError(f"the key must be a string, got {type_name(found)}")
        return found.encode()


def compile_projection(rule: Rule) -> Projector | None:
    """Return what makes the copies of `rule`; None where they are the events as they are.

    Raises:
        RuleError: An expression does not parse.
    """
    projection = rule.projection
    if projection is None:
        return None
    computed = rule.computed
    moved = (*((name, name) for name in projection.keep), *projection.rename.items())
    return Projector(
        fields=frozenset(old for _, old in moved).union(*(each.fields for each in computed.values())),
        attributes=frozenset[str]().union(*(each.attributes for each in computed.values())),
        moved=moved,
        # Not settled: what is part of a record stays as it was decoded, for it is written by its own schema.
        computed=tuple((name, compile_node(each.tree)) for name, each in computed.items()),
    )


def compile_key(rule: Rule) -> Key | None:
    """Return what gives the key of the copies of `rule`; None where they keep the event's.

    Raises:
        RuleError: It does not parse.
    """
    expression = rule.compiled_key
    if expression is None:
        return None
    return Key(expression.fields, expression.attributes, expression.function)


def _instant(value: datetime) -> datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _midnight(value: date) -> datetime:
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def _list(value: list[Any]) -> list[Any]:
    return [_stored(item) for item in value]


def _map(value: dict[Any, Any]) -> dict[Any, Any]:
    return {key: _stored(item) for key, item in value.items()}


def _stored(value: Any) -> Any:
    convert = _STORED.get(type(value))
    return value if convert is None else convert(value)


# Avro's types of computed values have one way to write each: a timestamp also for a date, a text for a UUID.
# Within a record both ways are written alike.
_STORED: Final[dict[type, Callable[[Any], Any]]] = {
    datetime: _instant,
    date: _midnight,
    UUID: str,
    list: _list,
    dict: _map,
}
