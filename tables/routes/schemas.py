"""The Avro schema of what the projection of a rule gives, derived from the schema of its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastavro.schema import parse_schema

from fleet.cel.checker import check
from fleet.cel.checker_hints import suggestion
from fleet.cel.errors import ExpressionError, refused
from fleet.cel.types import Kind, Type, from_avro
from tables.routes.errors import RuleError
from tables.routes.named_types import PROTECTED, NamedTypes
from tables.routes.rule import Projection, Rule

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fleet.cel.expression import Expression

AvroSchema = dict[str, Any]

NAMESPACE: Final = "fleet.routes"
MAX_PRECISION: Final = 38
"""Digits of a computed decimal, before and behind the point: what most stores and languages take."""

_OWN: Final = frozenset({"name", "type", "default", "aliases", "order"})
_PLAIN: Final = {
    Kind.BOOL: "boolean",
    Kind.INT: "long",
    Kind.UINT: "long",
    Kind.DOUBLE: "double",
    Kind.STRING: "string",
    Kind.BYTES: "bytes",
}
_ADVICE: Final = {
    Kind.DYN: "its type is not known; convert it, e.g. with string(x) or int(x)",
    Kind.NULL: "it is always null; leave it out",
    Kind.DURATION: "Avro has no type for it; write string(x), or a part of it, e.g. x.getHours()",
    Kind.DECIMAL: "its digits behind the point are not known; write round(x, 2)",
}


def output_schema(rule: Rule, schemas: Mapping[str, AvroSchema]) -> AvroSchema | None:
    """Return the schema of the copies of a rule; None where they are the events as they are.

    Args:
        rule: The rule; its expressions are right for each of `schemas`.
        schemas: Schemas of the event types that its source covers, by event type.

    Raises:
        RuleError: A field cannot be written, or the copies of two event types would differ in their schema.
    """
    if rule.projection is None or not schemas:
        return None
    known = frozenset(field["name"] for schema in schemas.values() for field in schema["fields"])
    found: dict[str, AvroSchema] = {
        event_type: derive_schema(rule, schema, elsewhere=known)
        for event_type, schema in sorted(schemas.items())
    }
    (first, merged), *others = found.items()
    for event_type, schema in others:
        merged = _merged(merged, schema, first, event_type)
    return merged


def derive_schema(rule: Rule, source: AvroSchema, elsewhere: Collection[str] = ()) -> AvroSchema:
    """Return the schema of what the projection of `rule` gives of events of one schema.

    Each field may be null and is null by default, so a projection with more or fewer fields reads what
    was written before.

    Args:
        rule: A rule with a projection whose expressions are right for the source.
        source: Avro schema of its source, a record.
        elsewhere: Fields that other event types of its source have: where this has not, they are null.

    Raises:
        RuleError: A field is unknown, or its type is not known or has no counterpart in Avro.
    """
    projection = rule.projection or Projection()
    parsed: Any = parse_schema(source)
    event = from_avro(parsed, rule.source)
    names = NamedTypes(parsed)
    fields = {field["name"]: field for field in parsed["fields"]}
    moved = [("projection.keep", name, name) for name in projection.keep]
    moved += [(f"projection.rename.{new}", new, old) for new, old in projection.rename.items()]
    found = []
    for where, new, old in moved:
        if old in fields:
            found.append(_moved(new, fields[old], names))
        elif old in elsewhere:
            found.append({"name": new, "type": ["null"], "default": None})
        else:
            what = f"{where}: no field {old!r} in {rule.source}"
            raise RuleError(what, field=where, hint=suggestion(old, fields))
    for name, expression in rule.computed.items():
        found.append(_computed(name, expression, event, names, elsewhere))
    return {"type": "record", "name": avro_name(rule.name), "namespace": NAMESPACE, "fields": found}


def avro_name(rule: str) -> str:
    """Return the name of a rule as Avro allows it."""
    name = rule.replace("-", "_").replace(".", "_")
    return f"_{name}" if name[0].isdigit() else name


def _moved(name: str, field: AvroSchema, names: NamedTypes) -> AvroSchema:
    said = {key: value for key, value in field.items() if key not in _OWN}
    return {"name": name, "type": nullable(names.written(field["type"])), "default": None, **said}


def _computed(
    name: str, expression: Expression, event: Type, names: NamedTypes, elsewhere: Collection[str]
) -> AvroSchema:
    try:
        found = check(expression.tree, event, elsewhere)
        written = _avro_of(found, expression, names)
    except ExpressionError as error:
        raise RuleError.in_field(f"projection.compute.{name}", error) from None
    field = {"name": name, "type": nullable(written), "default": None, "doc": expression.text}
    protected = names.protected(expression.fields)
    return {**field, PROTECTED: protected} if protected else field


def nullable(schema: Any) -> Any:
    """Return `schema` with null as well, first."""
    branches = schema if isinstance(schema, list) else [schema]
    return ["null", *(branch for branch in branches if branch != "null")]


def _avro_of(found: Type, expression: Expression, names: NamedTypes) -> Any:
    """Return the Avro type of a computed value."""
    kind = found.kind
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is Kind.TIMESTAMP:
        return {"type": "long", "logicalType": "timestamp-micros"}
    if kind is Kind.DECIMAL and found.scale is not None and found.scale <= MAX_PRECISION:
        return {"type": "bytes", "logicalType": "decimal", "precision": MAX_PRECISION, "scale": found.scale}
    if kind is Kind.RECORD and found.record is not None and found.record.schema is not None:
        return names.written(found.record.schema)
    if found.item is not None and (kind is Kind.LIST or (found.key and found.key.kind is Kind.STRING)):
        item = _avro_of(found.item, expression, names)
        item = nullable(item) if found.item.nullable else item
        return {"type": "array", "items": item} if kind is Kind.LIST else {"type": "map", "values": item}
    advice = _ADVICE.get(kind, "Avro has no type for it; the keys of a map must be strings")
    at = expression.tree.at
    raise refused(f"{found} cannot be a field: {advice}", at.line, at.column)


def _merged(one: AvroSchema, other: AvroSchema, first: str, second: str) -> AvroSchema:
    """Return the schema for both; a field that one of two event types has not got is the other's."""
    fields = []
    for here, there in zip(one["fields"], other["fields"], strict=True):
        chosen = there if here["type"] == ["null"] else here
        if there["type"] not in (["null"], chosen["type"]):
            raise RuleError(
                f"projection: {here['name']} has another type in {second} than in {first}",
                field="projection",
                hint="convert it in projection.compute, or make a rule for each event type",
            )
        fields.append(chosen)
    return {**one, "fields": fields}
