"""A projection as a generated Python function.

Its source holds names of our own only; what a schema names is bound as a value, so no text of a schema
is executed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from schemas.projection.walk import Projection, Walk, Wanted, decimal_of, fail

_LONG_BITS: Final = 64
_LONG_MASK: Final = 2**_LONG_BITS - 1


class SourceWriter(Walk[str]):
    """Writes the function, a statement at a time; ``p`` is where it stands in the bytes ``b``."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._indent = 1
        self._names: dict[str, Any] = {"long_at": _long_at, "fail": fail}

    def compiled(self) -> Projection:
        """See `Walk.compiled`."""
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

    def target(self, name: str) -> str:
        """See `Walk.target`."""
        return f"found[{self._bind(name)}]"

    def record(self, target: str, fields: list[Any], wanted: Wanted, depth: int) -> None:
        """See `Walk.record`."""
        local = f"r{len(self._lines)}"
        self._write(f"{local} = {{}}")
        self.fields(fields, wanted, lambda name: f"{local}[{self._bind(name)}]", depth)
        self._write(f"{target} = {local}")

    def plain(self, target: str, schema: Any, kind: str) -> None:
        """See `Walk.plain`."""
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

    def decimal(self, target: str, schema: Any) -> None:
        """See `Walk.decimal`."""
        self._text_or_bytes(f"{target} = {self._bind(decimal_of(schema))}(b[p:p + n])")

    def converted(self, target: str, convert: Callable[[int], Any]) -> None:
        """See `Walk.converted`."""
        self._long()
        self._write(f"{target} = {self._bind(convert)}(n)")

    def call(self, target: str, reader: Callable[[bytes, int], tuple[Any, int]]) -> None:
        """See `Walk.call`."""
        self._write(f"{target}, p = {self._bind(reader)}(b, p)")

    def _text_or_bytes(self, taken: str) -> None:
        self._long()
        self._write("if n < 0 or p + n > len(b): fail(b, p)", taken, "p += n")

    def _long(self) -> None:
        """Read a zig-zag number into ``n``; one of a single byte, as nearly all lengths are, at once."""
        self._write("n = b[p]", "p += 1")
        self._write("if n > 127: n, p = long_at(b, p - 1)", "else: n = n >> 1 ^ -(n & 1)")

    def fixed(self, size: int) -> None:
        """See `Walk.fixed`."""
        self._write(f"p += {size}")

    def number(self) -> None:
        """See `Walk.number`."""
        self._write("while b[p] > 127: p += 1", "p += 1")

    def length(self) -> None:
        """See `Walk.length`."""
        self._write("n = b[p]", "p += 1")
        self._write("if n > 127:", "    n, p = long_at(b, p - 1)", "    if n < 0: fail(b, p)", "    p += n")
        self._write("elif n & 1: fail(b, p)", "else: p += n >> 1")

    def union(self, branches: list[Any], one: Callable[[Any], None]) -> None:
        """See `Walk.union`."""
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

    def blocks(self, item: Callable[[], None], depth: int) -> None:
        """See `Walk.blocks`."""
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
        item()
        if len(self._lines) == first:
            del self._lines[before:]
        self._indent -= 2


def _long_at(value: bytes, at: int) -> tuple[int, int]:
    """Return the zig-zag number at `at`, and where it ends."""
    number = shift = 0
    while True:
        byte = value[at]
        at += 1
        number |= (byte & 127) << shift
        if byte <= 127:  # noqa: PLR2004 - the highest bit says that more follow
            number &= _LONG_MASK
            return number >> 1 ^ -(number & 1), at
        shift += 7
        if shift >= _LONG_BITS:
            fail(value, at)
