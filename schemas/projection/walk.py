"""The walk over a schema, the same for both forms of a projection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from io import BytesIO
from typing import Any, Final, Generic, NoReturn, TypeAlias, TypeVar

from fastavro import parse_schema, schemaless_reader
from fastavro.read import LOGICAL_READERS
from fastavro.schema import UnknownType

Projection: TypeAlias = Callable[[bytes, int], dict[str, Any]]
Target = TypeVar("Target")

Wanted: TypeAlias = "Mapping[str, Wanted] | None"
"""What is wanted of a record, by field, and of that field in turn; None for all of it."""

MAX_NESTING: Final = 8  # Two loops each in Python, which nests twenty.
MAX_TYPES: Final = 10_000  # Types that are named and used again multiply.
MAX_BRANCHES: Final = 64  # The index of any more takes a second byte.
MAX_OPERAND: Final = 2**31 - 1
_FIXED_BYTES: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_READ: Final = frozenset({"null", "boolean", "int", "long", "string", "bytes", "enum"})


class ProjectionError(ValueError):
    """The bytes are not of the schema, or the schema cannot be stepped over."""


class Walk(ABC, Generic[Target]):
    """Goes over the fields of a record; what is to be done with each is written by a subclass.

    `Target` is where a value goes.
    """

    def __init__(self) -> None:
        self._types = 0

    @abstractmethod
    def target(self, name: str) -> Target:
        """Return where the value of a field of the record goes."""

    @abstractmethod
    def record(self, target: Target, fields: list[Any], wanted: Wanted, depth: int) -> None:
        """Read a record within the record, by `fields` to targets within it."""

    @abstractmethod
    def plain(self, target: Target, schema: Any, kind: str) -> None:
        """Read a value of a type in `_READ`."""

    @abstractmethod
    def decimal(self, target: Target, schema: Any) -> None:
        """Read a decimal in bytes."""

    @abstractmethod
    def converted(self, target: Target, convert: Callable[[int], Any]) -> None:
        """Read a number, and convert it."""

    @abstractmethod
    def call(self, target: Target, reader: Callable[[bytes, int], tuple[Any, int]]) -> None:
        """Read a value by a function that returns it, and where it ends."""

    @abstractmethod
    def union(self, branches: list[Any], one: Callable[[Any], None]) -> None:
        """Do `one` of a branch, by the number before the value."""

    @abstractmethod
    def fixed(self, size: int) -> None:
        """Step over so many bytes."""

    @abstractmethod
    def number(self) -> None:
        """Step over a number."""

    @abstractmethod
    def length(self) -> None:
        """Step over a length and as many bytes."""

    @abstractmethod
    def blocks(self, item: Callable[[], None], depth: int) -> None:
        """Step over blocks, each of a count and as many items."""

    def fields(
        self, fields: list[Any], wanted: Wanted, target: Callable[[str], Target], depth: int = 0
    ) -> None:
        """Read those fields of a record that are wanted, and step over the others.

        Raises:
            ProjectionError: The schema nests too deeply, is too large, or is none.
        """
        for field in fields:
            name, schema = field["name"], field["type"]
            if wanted is None:
                self.value(target(name), schema, None, depth)
            elif name in wanted:
                self.value(target(name), schema, wanted[name], depth)
            else:
                self.skip(schema, depth)

    def value(self, target: Target, schema: Any, wanted: Wanted, depth: int) -> None:
        """Read a value into `target`; of a record what is wanted.

        Raises:
            ProjectionError: The schema nests too deeply, is too large, or is none.
        """
        self._visit(depth)
        if isinstance(schema, list):
            self._choose(schema, lambda branch: self.value(target, branch, wanted, depth + 1))
            return
        kind = schema if isinstance(schema, str) else schema["type"]
        logical = None if isinstance(schema, str) else schema.get("logicalType")
        if isinstance(kind, dict | list):
            if logical is not None:
                raise ProjectionError("the schema has a logical type of a type of its own")
            self.value(target, kind, wanted, depth + 1)
        elif logical == "decimal" and kind == "bytes" and 0 < schema.get("precision", 0) <= MAX_OPERAND:
            self.decimal(target, schema)
        elif kind in {"int", "long"} and f"{kind}-{logical}" in LOGICAL_READERS:
            self.converted(target, _converter(schema, f"{kind}-{logical}"))
        elif kind == "record" and logical is None:
            self.record(target, schema["fields"], wanted, depth + 1)
        elif kind not in _READ or logical is not None:
            # What is composed otherwise, or of another logical type, is fastavro's to read.
            self.call(target, _reader_of(schema))
        else:
            self.plain(target, schema, kind)

    def skip(self, schema: Any, depth: int) -> None:
        """Step over a value.

        Raises:
            ProjectionError: The schema nests too deeply, is too large, or is none.
        """
        self._visit(depth)
        if isinstance(schema, list):
            self._choose(schema, lambda branch: self.skip(branch, depth + 1))
            return
        kind = schema if isinstance(schema, str) else schema["type"]
        if isinstance(kind, dict | list):
            self.skip(kind, depth)
        elif kind == "record":
            for field in schema["fields"]:
                self.skip(field["type"], depth)
        elif kind in {"array", "map"}:
            self._skip_blocks(schema, kind, depth)
        else:
            self._skip_leaf(schema, kind)

    def _visit(self, depth: int) -> None:
        self._types += 1
        if depth > MAX_NESTING or self._types > MAX_TYPES:
            raise ProjectionError("the schema nests too deeply, or is too large")

    def _choose(self, branches: list[Any], one: Callable[[Any], None]) -> None:
        if not 0 < len(branches) <= MAX_BRANCHES:
            raise ProjectionError("the schema has a union of no types, or of too many")
        self.union(branches, one)

    def _skip_blocks(self, schema: Any, kind: str, depth: int) -> None:
        def item() -> None:
            if kind == "map":
                self.length()
            self.skip(schema["items" if kind == "array" else "values"], depth + 1)

        self.blocks(item, depth)

    def _skip_leaf(self, schema: Any, kind: str) -> None:
        size = schema["size"] if kind == "fixed" else _FIXED_BYTES.get(kind)
        if size is not None:
            if not isinstance(size, int) or not 0 <= size <= MAX_OPERAND:
                raise ProjectionError("the schema has a fixed of a size that cannot be")
            if size:
                self.fixed(size)
        elif kind in {"int", "long", "enum"}:
            self.number()
        elif kind in {"string", "bytes"}:
            self.length()
        else:
            raise ProjectionError("the schema has a type that is not Avro's")


def decimal_of(schema: Any) -> Callable[[bytes], Decimal]:
    """Return what makes a decimal of its unscaled bytes, as fastavro does."""
    context, scale = Context(prec=schema["precision"]), -schema.get("scale", 0)

    def decimal(unscaled: bytes) -> Decimal:
        number = context.create_decimal(int.from_bytes(unscaled, "big", signed=True))
        return number.scaleb(scale, context)

    return decimal


def _converter(schema: Any, logical: str) -> Callable[[int], Any]:
    """Return what makes the value of a logical type of its number, as fastavro does."""
    read = LOGICAL_READERS[logical]

    def convert(number: int) -> Any:
        return read(number, schema, None)

    return convert


def _reader_of(schema: Any) -> Callable[[bytes, int], tuple[Any, int]]:
    try:
        parsed = parse_schema(schema)
    except UnknownType:  # All names were written out, except where a type holds itself.
        raise ProjectionError("the schema refers to itself") from None

    def read(value: bytes, start: int) -> tuple[Any, int]:
        stream = BytesIO(value)
        stream.seek(start)
        return schemaless_reader(stream, parsed, None), stream.tell()

    return read


def fail(value: bytes, at: int) -> NoReturn:
    """Refuse a value for what is at `at`.

    Raises:
        ProjectionError: Always.
    """
    raise ProjectionError(f"the value does not fit its schema at byte {min(at, len(value))} of {len(value)}")
