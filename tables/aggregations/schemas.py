"""The Avro schema of what an aggregation writes to its change topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastavro.schema import parse_schema

from fleet.cel.expression import Expression
from tables.aggregations.checks import AvroSchema, check_definition
from tables.aggregations.definition import Definition
from tables.aggregations.function import FunctionName
from tables.aggregations.results import result_schema, scalar_schema
from tables.routes.named_types import PROTECTED, NamedTypes
from tables.routes.schemas import avro_name, nullable

NAMESPACE: Final = "fleet.aggregations"

_TIME: Final = {"type": "long", "logicalType": "timestamp-millis"}
# A number of events or of different values shows none of them.
_SHOWS_NO_VALUE: Final = frozenset({FunctionName.COUNT, FunctionName.DISTINCT})


def derive_output_schema(definition: Definition, schemas: Mapping[str, AvroSchema]) -> AvroSchema:
    """Return the schema of the results of an aggregation.

    It has the parts of the group key, start and end of the window, a field for each function, and what is
    known of the result. What comes of protected fields is protected alike. All that a definition may add or
    leave out can be null, so the next version reads what was written before.

    Args:
        definition: The aggregation, as `parse_definition` gives it.
        schemas: Avro schemas of its sources, by event type.

    Raises:
        AggregationError: It is not right for its sources; names the field and what would be right.
    """
    checked = check_definition(definition, schemas)
    parsed: list[Any] = [parse_schema(schemas[source]) for source in definition.sources]
    names = [NamedTypes(schema) for schema in parsed]
    fields = [
        _field(name, scalar_schema(checked.groups[name]), each, names)
        for name, each in definition.compiled_groups.items()
    ]
    fields += [
        {"name": "window_start", "type": nullable(_TIME), "default": None, "doc": "Null without windows."},
        {
            "name": "window_end",
            "type": nullable(_TIME),
            "default": None,
            "doc": "Not in the window any more.",
        },
    ]
    for function in checked.definition.functions:
        schema = "long" if function.compiled_of is None else None
        if schema is None:
            schema = result_schema(function, checked.arguments[function.name])
        shown = None if function.function in _SHOWS_NO_VALUE else function.compiled_of
        fields.append(_field(function.name, schema, shown, names))
    fields += [
        {
            "name": "final",
            "type": "boolean",
            "doc": "Whether the window has closed: this is its last result.",
        },
        {"name": "watermark", "type": nullable(_TIME), "default": None, "doc": "All before it has come."},
        {"name": "build", "type": "long", "doc": "Number of the build that it is of."},
    ]
    name = avro_name(definition.name)
    return {"type": "record", "name": name, "namespace": NAMESPACE, "fields": fields}


def _field(name: str, schema: Any, shown: Expression | None, names: list[NamedTypes]) -> AvroSchema:
    """Return a field; `shown` is what its value shows of events."""
    field = {"name": name, "type": nullable(schema), "default": None}
    if shown is None:
        return field
    classes = (each.protected(shown.fields) for each in names)
    protected = next(filter(None, classes), None)
    field["doc"] = shown.text
    return {**field, PROTECTED: protected} if protected else field
