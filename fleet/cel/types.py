"""Types of expressions, and those of events by their Avro schema.

A value has the type that the decoder gives it, so a logical type that the decoder does not know
counts as what it is written as. Logical types:
https://avro.apache.org/docs/1.12.0/specification/#logical-types
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from fastavro.schema import fullname, parse_schema


class Kind(StrEnum):
    """What kind of value it is, by the language's name."""

    BOOL = "bool"
    INT = "int"
    UINT = "uint"
    DOUBLE = "double"
    DECIMAL = "decimal"
    STRING = "string"
    BYTES = "bytes"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    LIST = "list"
    MAP = "map"
    RECORD = "record"
    NULL = "null"
    DYN = "dyn"


class Record:
    """The fields of a record by name; compared by identity, for it may hold itself.

    Attributes:
        name: What messages call it.
        fields: Types by name of field.
        schema: Its Avro schema, as parsed by fastavro; None where it has none.
    """

    __slots__ = ("fields", "name", "schema")

    def __init__(self, name: str, schema: Any = None) -> None:
        self.name = name
        self.schema = schema
        self.fields: dict[str, Type] = {}


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value.

    Attributes:
        kind: What kind of value it is; ``dyn`` may be any at run time.
        nullable: Whether it may be null as well.
        scale: Digits behind the point of a decimal; None where they are not known beforehand.
        symbols: The only texts that a string can be; empty where it can be any.
        key: Type of a map's keys.
        item: Type of a list's elements or of a map's values.
        record: The fields of a record.
    """

    kind: Kind
    nullable: bool = False
    scale: int | None = None
    symbols: tuple[str, ...] = ()
    key: Type | None = None
    item: Type | None = None
    record: Record | None = None

    def __str__(self) -> str:
        if self.kind is Kind.LIST and self.item is not None:
            return f"list<{self.item}>"
        if self.kind is Kind.MAP and self.key is not None and self.item is not None:
            return f"map<{self.key}, {self.item}>"
        if self.record is not None:
            return f"record {self.record.name}"
        return str(self.kind)


BOOL: Final = Type(Kind.BOOL)
INT: Final = Type(Kind.INT)
UINT: Final = Type(Kind.UINT)
DOUBLE: Final = Type(Kind.DOUBLE)
DECIMAL: Final = Type(Kind.DECIMAL)
STRING: Final = Type(Kind.STRING)
BYTES: Final = Type(Kind.BYTES)
TIMESTAMP: Final = Type(Kind.TIMESTAMP)
DURATION: Final = Type(Kind.DURATION)
NULL: Final = Type(Kind.NULL, nullable=True)
DYN: Final = Type(Kind.DYN, nullable=True)


def list_of(item: Type) -> Type:
    """Return the type of a list of such elements."""
    return Type(Kind.LIST, item=item)


def map_of(key: Type, item: Type) -> Type:
    """Return the type of a map of such keys and values."""
    return Type(Kind.MAP, key=key, item=item)


def decimal_of(scale: int | None) -> Type:
    """Return the type of decimals with so many digits behind the point."""
    return Type(Kind.DECIMAL, scale=scale)


def join(one: Type, other: Type) -> Type:
    """Return the type of what may be either; ``dyn`` where they have nothing in common."""
    if one == other:
        return one
    nullable = one.nullable or other.nullable
    if other.kind is Kind.NULL:
        return replace(one, nullable=True)
    if one.kind is Kind.NULL:
        return replace(other, nullable=True)
    if one.kind is not other.kind or one.record is not other.record:
        return DYN
    scales, symbols = (one.scale, other.scale), (one.symbols, other.symbols)
    return Type(
        one.kind,
        nullable,
        scale=None if None in scales else max(one.scale or 0, other.scale or 0),
        symbols=tuple(dict.fromkeys((*one.symbols, *other.symbols))) if all(symbols) else (),
        key=None if one.key is None or other.key is None else join(one.key, other.key),
        item=None if one.item is None or other.item is None else join(one.item, other.item),
        record=one.record,
    )


# Logical types of what they are written as, by the decoder's names; the decoder has no others.
LOGICAL: Final = {
    "long-timestamp-millis": TIMESTAMP,
    "long-timestamp-micros": TIMESTAMP,
    "long-local-timestamp-millis": TIMESTAMP,
    "long-local-timestamp-micros": TIMESTAMP,
    "int-date": TIMESTAMP,
    "int-time-millis": DURATION,
    "long-time-micros": DURATION,
    "string-uuid": STRING,
    "bytes-decimal": DECIMAL,
    "fixed-decimal": DECIMAL,
}
_PLAIN: Final = {
    "null": NULL,
    "boolean": BOOL,
    "int": INT,
    "long": INT,
    "float": DOUBLE,
    "double": DOUBLE,
    "bytes": BYTES,
    "fixed": BYTES,
    "string": STRING,
}


def from_avro(schema: Any, name: str = "") -> Type:
    """Return the type of what is decoded by `schema`.

    Args:
        schema: Avro schema, plain or as parsed by fastavro.
        name: What to call the outermost record in messages, such as the event type.

    Raises:
        SchemaParseException: It is no Avro schema, or UnknownType: it names one that it has not.
    """
    found = _Named({}).type_of(parse_schema(schema))
    if name and found.record is not None:
        found.record.name = name
    return found


@dataclass(slots=True)
class _Named:
    """Walks a parsed schema; `types` are the named ones that it has met."""

    types: dict[str, Type]

    def type_of(self, schema: Any) -> Type:
        if isinstance(schema, list):
            return self._union(schema)
        if isinstance(schema, str):
            return _PLAIN.get(schema) or self.types[schema]
        kind = schema["type"]
        logical = LOGICAL.get(f"{kind}-{schema.get('logicalType')}")
        found = self._composed(kind, schema) if logical is None else logical
        if found is DECIMAL:
            found = decimal_of(schema.get("scale", 0))
        if kind in {"fixed", "enum"}:
            self.types[fullname(schema)] = found
        return found

    def _union(self, branches: list[Any]) -> Type:
        types = [self.type_of(branch) for branch in branches]
        found = types[0]
        for other in types[1:]:
            found = join(found, other)
        return found

    def _composed(self, kind: str, schema: Any) -> Type:
        match kind:
            case "array":
                return list_of(self.type_of(schema["items"]))
            case "map":
                return map_of(STRING, self.type_of(schema["values"]))
            case "enum":
                return Type(Kind.STRING, symbols=tuple(schema["symbols"]))
            case "record" | "error":
                return self._record(schema)
            case _:
                return _PLAIN.get(kind) or self.types[kind]

    def _record(self, schema: Any) -> Type:
        full = fullname(schema)
        record = Record(full.rpartition(".")[2], schema)
        self.types[full] = found = Type(Kind.RECORD, record=record)
        record.fields.update((field["name"], self.type_of(field["type"])) for field in schema["fields"])
        return found
