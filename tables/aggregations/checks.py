"""Checks of an aggregation against the schemas of its sources, before it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import msgspec

from fleet.cel.checker import check, check_condition
from fleet.cel.errors import ExpressionError, refused
from fleet.cel.expression import Expression
from fleet.cel.types import Kind, Type, from_avro, join
from tables.aggregations.calculation import within
from tables.aggregations.definition import Definition
from tables.aggregations.errors import AggregationError
from tables.aggregations.results import SCALARS, check_argument, written_type
from tables.routes.schemas import MAX_PRECISION

AvroSchema = dict[str, Any]

GROUPS: Final = SCALARS - {Kind.DOUBLE}
"""What a group can be: a double is hardly ever twice the same."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the schemas of its sources say of an aggregation.

    Attributes:
        definition: With the type of each function's argument.
        groups: Types of the parts of the group key, by name.
        arguments: Types of the functions' arguments, by name of the function; a ``count`` of events has none.
    """

    definition: Definition
    groups: dict[str, Type]
    arguments: dict[str, Type]


def check_definition(definition: Definition, schemas: Mapping[str, AvroSchema]) -> Checked:
    """Check the expressions of an aggregation against the schemas of its sources.

    Args:
        definition: The aggregation, as `parse_definition` gives it.
        schemas: Avro schemas of its sources, by event type; others are passed over.

    Raises:
        AggregationError: Names the aggregation, the field and what would be right; for an expression also
            line and column.
    """
    try:
        return _Checker(definition, schemas).checked()
    except AggregationError as error:
        raise error.of(definition.name) from None


class _Checker:
    def __init__(self, definition: Definition, schemas: Mapping[str, AvroSchema]) -> None:
        self._definition = definition
        for source in definition.sources:
            if source not in schemas:
                raise AggregationError(
                    f"sources: {source} has no schema",
                    field="sources",
                    hint=f"register one as {source}-value",
                )
        found = {source: schemas[source] for source in definition.sources}
        self._events = [from_avro(schema, source) for source, schema in found.items()]
        self._known = frozenset(field["name"] for schema in found.values() for field in schema["fields"])

    def checked(self) -> Checked:
        definition = self._definition
        self._condition("filter", definition.compiled_filter)
        self._event_time(definition.compiled_event_time)
        groups = {name: self._group(name, each) for name, each in definition.compiled_groups.items()}
        arguments: dict[str, Type] = {}
        functions = []
        for place, function in enumerate(definition.functions):
            with within(place):
                if function.compiled_where is not None:
                    self._condition("where", function.compiled_where)
                if function.compiled_of is not None:
                    arguments[function.name] = self._type("of", function.compiled_of)
                    check_argument(function, arguments[function.name])
            argument = arguments.get(function.name)
            type_text = "" if argument is None else written_type(argument)
            functions.append(msgspec.structs.replace(function, type=type_text))
        typed = msgspec.structs.replace(definition, functions=tuple(functions))
        return Checked(typed, groups, arguments)

    def _condition(self, field: str, expression: Expression) -> None:
        try:
            for event in self._events:
                check_condition(expression.tree, event, self._known)
        except ExpressionError as error:
            raise AggregationError.in_field(field, error) from None

    def _event_time(self, expression: Expression) -> None:
        found = self._type("event_time", expression)
        if found.kind is not Kind.TIMESTAMP:
            raise _wrong("event_time", expression, f"must be a timestamp, got {found}; write timestamp(...)")

    def _group(self, name: str, expression: Expression) -> Type:
        field = f"group_by.{name}"
        found = self._type(field, expression)
        if found.kind not in GROUPS:
            raise _wrong(field, expression, f"{found} cannot be a group; convert it, e.g. with string(x)")
        if found.kind is Kind.DECIMAL and (found.scale is None or found.scale > MAX_PRECISION):
            raise _wrong(field, expression, "its digits behind the point are not known; write round(x, 2)")
        return found

    def _type(self, field: str, expression: Expression) -> Type:
        try:
            found = [check(expression.tree, event, self._known) for event in self._events]
        except ExpressionError as error:
            raise AggregationError.in_field(field, error) from None
        joined = reduce(join, found)
        if joined.kind is Kind.DYN and Kind.DYN not in {each.kind for each in found}:
            kinds = ", ".join(sorted({str(each) for each in found}))
            raise _wrong(field, expression, f"is of another type in each source: {kinds}; convert it")
        return joined


def _wrong(field: str, expression: Expression, what: str) -> AggregationError:
    at = expression.tree.at
    return AggregationError.in_field(field, refused(what, at.line, at.column))
