"""Reads a few top-level fields of an Avro record and steps over the others, checked to the last byte.

Reading two of seventeen fields costs about a third of decoding all of them. The generated source holds
names of our own only; what a schema names is bound as a value, so no text of a schema is executed.

Encoding: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Context, Decimal
from io import BytesIO
from typing import Any, Final, TypeAlias, cast

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import expand_schema

Projection: TypeAlias = Callable[[bytes, int], dict[str, Any]]

MAX_NESTING: Final = 12
MAX_BRANCHES: Final = 64  # The index of any more takes a second byte.
_FIXED_BYTES: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_VARINT_BITS: Final = 64
_READ: Final = frozenset({"null", "boolean", "int", "long", "string", "bytes", "enum"})


class ProjectionError(ValueError):
    """The bytes are not of the schema, or the schema cannot be stepped over."""


def compile_projection(schema: Any, wanted: Collection[str]) -> Projection:
    """Return ``function(value, start)`` that reads the fields `wanted` of a record, as fastavro would.

    Args:
        schema: The writer's schema, a record; names in `wanted` that it has not are passed over.
        wanted: Names of top-level fields.

    Raises:
        ProjectionError: The schema is no record, or refers to itself; the function raises it, or
            IndexError, or what fastavro raises, for bytes that are not of the schema.
    """
    try:
        expanded: Any = expand_schema(schema)
    except RecursionError:
        raise ProjectionError("the schema refers to itself") from None
    if not isinstance(expanded, dict) or expanded.get("type") != "record":
        raise ProjectionError("the schema is no record")
    source = _Source()
    for field in expanded["fields"]:
        if field["name"] in wanted:
            source.read(field["name"], field["type"])
        else:
            source.skip(field["type"], depth=0)
    return source.compiled()


class _Source:
    """Writes the function, a statement at a time; ``p`` is where it stands in the bytes ``b``."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._indent = 1
        self._names: dict[str, Any] = {"long_at": _long_at, "fail": _fail}

    def compiled(self) -> Projection:
        """Return the function."""
        lines = [
            "def project(b, p):",
            "    found = {}",
            *self._lines,
            "    if p != len(b): fail(b, p)",
            "    return found",
        ]
        exec(compile("\n".join(lines), "<projection>", "exec"), self._names)  # noqa: S102 - our own source, see above
        return cast("Projection", self._names["project"])

    def _write(self, *lines: str) -> None:
        self._lines += ["    " * self._indent + line for line in lines]

    def _bind(self, value: object) -> str:
        name = f"k{len(self._names)}"
        self._names[name] = value
        return name

    def read(self, name: str, schema: Any) -> None:
        """Read a field into ``found``."""
        self._value(f"found[{self._bind(name)}]", schema, depth=0)

    def _value(self, target: str, schema: Any, depth: int) -> None:
        """Read a value into `target`."""
        if depth > MAX_NESTING:
            raise ProjectionError("the schema nests too deeply")
        if isinstance(schema, list):
            self._union(schema, lambda branch: self._value(target, branch, depth + 1))
            return
        kind = schema if isinstance(schema, str) else schema["type"]
        logical = None if isinstance(schema, str) else schema.get("logicalType")
        if isinstance(kind, dict | list):
            if logical is not None:
                raise ProjectionError("the schema has a logical type of a type of its own")
            self._value(target, kind, depth + 1)
        elif logical == "decimal" and kind == "bytes":
            self._text_or_bytes(f"{target} = {self._bind(_decimal_of(schema))}(b[p:p + n])")
        elif kind == "record" and logical is None:
            self._record(target, schema, depth)
        elif kind not in _READ or logical is not None:
            # What is composed otherwise, or of another logical type, is fastavro's to read.
            self._write(f"{target}, p = {self._bind(_reader_of(schema))}(b, p)")
        else:
            self._plain(target, schema, kind)

    def _record(self, target: str, schema: Any, depth: int) -> None:
        local = f"r{len(self._lines)}"
        self._write(f"{local} = {{}}")
        for field in schema["fields"]:
            self._value(f"{local}[{self._bind(field['name'])}]", field["type"], depth + 1)
        self._write(f"{target} = {local}")

    def _plain(self, target: str, schema: Any, kind: str) -> None:
        if kind == "null":
            self._write(f"{target} = None")
        elif kind == "boolean":
            self._write(f"{target} = b[p] != 0", "p += 1")
        elif kind in {"string", "bytes"}:
            self._text_or_bytes(f"{target} = b[p:p + n]" + (".decode()" if kind == "string" else ""))
        else:
            self._long()
            if kind == "enum":
                symbols = self._bind(tuple(schema["symbols"]))
                self._write("if n < 0: fail(b, p)", f"{target} = {symbols}[n]")
            else:
                self._write(f"{target} = n")

    def _text_or_bytes(self, taken: str) -> None:
        self._long()
        self._write("if n < 0 or p + n > len(b): fail(b, p)", taken, "p += n")

    def _long(self) -> None:
        """Read a zig-zag number into ``n``; one of a single byte, as nearly all lengths are, at once."""
        self._write("n = b[p]", "p += 1")
        self._write("if n > 127: n, p = long_at(b, p - 1)", "else: n = n >> 1 ^ -(n & 1)")

    def skip(self, schema: Any, depth: int) -> None:
        """Step over a value."""
        if depth > MAX_NESTING:
            raise ProjectionError("the schema nests too deeply")
        if isinstance(schema, list):
            self._union(schema, lambda branch: self.skip(branch, depth + 1))
            return
        kind = schema if isinstance(schema, str) else schema["type"]
        if isinstance(kind, dict | list):
            self.skip(kind, depth)
        elif kind == "record":
            for field in schema["fields"]:
                self.skip(field["type"], depth)
        elif kind in {"array", "map"}:
            self._blocks(schema, kind, depth)
        else:
            self._leaf(schema, kind)

    def _leaf(self, schema: Any, kind: str) -> None:
        size = int(schema["size"]) if kind == "fixed" else _FIXED_BYTES.get(kind)
        if size is not None:
            if size:
                self._write(f"p += {size}")
        elif kind in {"int", "long", "enum"}:
            self._write("while b[p] > 127: p += 1", "p += 1")
        elif kind in {"string", "bytes"}:
            self._length()
        else:
            raise ProjectionError("the schema has a type that is not Avro's")

    def _length(self) -> None:
        self._write("n = b[p]", "p += 1")
        self._write("if n > 127:", "    n, p = long_at(b, p - 1)", "    if n < 0: fail(b, p)", "    p += n")
        self._write("elif n & 1: fail(b, p)", "else: p += n >> 1")

    def _union(self, branches: list[Any], one: Callable[[Any], None]) -> None:
        if len(branches) > MAX_BRANCHES:
            raise ProjectionError("the schema has a union of too many types")
        self._write("n = b[p]", "p += 1")
        for index, branch in enumerate(branches):
            self._write(f"{'elif' if index else 'if'} n == {index * 2}:")
            self._indent += 1
            before = len(self._lines)
            one(branch)
            if len(self._lines) == before:
                self._write("pass")
            self._indent -= 1
        self._write("else: fail(b, p)")

    def _blocks(self, schema: Any, kind: str, depth: int) -> None:
        left = f"left{depth}"
        self._write("while True:")
        self._indent += 1
        self._long()
        self._write("if not n: break")
        self._write("if n < 0:")
        self._indent += 1
        # A negative count is followed by the size of the block in bytes.
        self._write(f"{left} = -n")
        self._long()
        self._write("if n < 0: fail(b, p)")
        self._indent -= 1
        self._write(f"else: {left} = n")
        before = len(self._lines)
        # Each item takes a byte at least: no reason to count to two to the power of 63.
        self._write(f"if {left} > len(b): fail(b, p)")
        self._write(f"while {left}:", f"    {left} -= 1")
        self._indent += 1
        first = len(self._lines)
        if kind == "map":
            self._length()
        self.skip(schema["items" if kind == "array" else "values"], depth + 1)
        if len(self._lines) == first:
            del self._lines[before:]
        self._indent -= 2


def _decimal_of(schema: Any) -> Callable[[bytes], Decimal]:
    context, scale = Context(prec=schema["precision"]), -schema.get("scale", 0)

    def decimal(unscaled: bytes) -> Decimal:
        number = context.create_decimal(int.from_bytes(unscaled, "big", signed=True))
        return number.scaleb(scale, context)

    return decimal


def _reader_of(schema: Any) -> Callable[[bytes, int], tuple[Any, int]]:
    parsed = parse_schema(schema)

    def read(value: bytes, start: int) -> tuple[Any, int]:
        stream = BytesIO(value)
        stream.seek(start)
        return schemaless_reader(stream, parsed, None), stream.tell()

    return read


def _long_at(value: bytes, at: int) -> tuple[int, int]:
    """Return the zig-zag number at `at`, and where it ends."""
    number = shift = 0
    while True:
        byte = value[at]
        at += 1
        number |= (byte & 127) << shift
        if byte <= 127:  # noqa: PLR2004 - the highest bit says that more follow
            return number >> 1 ^ -(number & 1), at
        shift += 7
        if shift >= _VARINT_BITS + 6:
            _fail(value, at)


def _fail(value: bytes, at: int) -> None:
    raise ProjectionError(f"the value does not fit its schema at byte {min(at, len(value))} of {len(value)}")
