"""A projection as a program for the compiled `schemas.projection._run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from schemas.projection.walk import Projection, Walk, Wanted, decimal_of, fail

Target = TypeVar("Target")


class ProgramWriter(Walk[Target], Generic[Target]):
    """Writes a program, an operation at a time, that steps over what is not wanted.

    Args:
        compiled: The module that runs it.
    """

    def __init__(self, compiled: Any) -> None:
        super().__init__()
        self._run = compiled
        self._op = compiled.Op
        self._code: list[int] = []
        self._constants: list[Any] = []

    def _program(self, slots: int = 0) -> Any:
        return self._run.Program([*self._code, self._op.END], tuple(self._constants), fail, slots)

    def _write(self, *code: int) -> None:
        self._code += code

    def _bind(self, constant: Any) -> int:
        self._constants.append(constant)
        return len(self._constants) - 1

    def fixed(self, size: int) -> None:
        """See `Walk.fixed`."""
        self._write(self._op.FIXED, size)

    def number(self) -> None:
        """See `Walk.number`."""
        self._write(self._op.NUMBER)

    def length(self) -> None:
        """See `Walk.length`."""
        self._write(self._op.LENGTH)

    def union(self, branches: list[Any], one: Callable[[Any], None]) -> None:
        """See `Walk.union`."""
        self._write(self._op.UNION, len(branches))
        table = len(self._code)
        self._write(*[0] * len(branches))
        ends = []
        for place, branch in enumerate(branches):
            self._code[table + place] = len(self._code)
            one(branch)
            self._write(self._op.JUMP, 0)
            ends.append(len(self._code) - 1)
        for end in ends:
            self._code[end] = len(self._code)

    def blocks(self, item: Callable[[], None], depth: int) -> None:
        """See `Walk.blocks`."""
        start = len(self._code)
        self._write(self._op.BLOCKS, depth, 0, 1)
        first = len(self._code)
        item()
        if len(self._code) == first:
            self._code[start + 3] = 0
        else:
            self._write(self._op.AGAIN, depth, first, start)
        self._code[start + 2] = len(self._code)


class FieldWriter(ProgramWriter[int]):
    """Writes a projection; a target is the place of its name among the constants."""

    def compiled(self) -> Projection:
        """See `Walk.compiled`."""
        program: Projection = self._program()
        return program

    def target(self, name: str) -> int:
        """See `Walk.target`."""
        return self._bind(name)

    def record(self, target: int, fields: list[Any], wanted: Wanted, depth: int) -> None:
        """See `Walk.record`."""
        self._write(self._op.OPEN, target)
        self.fields(fields, wanted, self._bind, depth)
        self._write(self._op.CLOSE)

    def plain(self, target: int, schema: Any, kind: str) -> None:
        """See `Walk.plain`."""
        op = self._op
        if kind == "enum":
            self._write(op.ENUM, target, self._bind(tuple(schema["symbols"])))
            return
        reads = {"null": op.NONE, "boolean": op.BOOLEAN, "string": op.TEXT, "bytes": op.RAW}
        self._write(reads.get(kind, op.LONG), target)

    def decimal(self, target: int, schema: Any) -> None:
        """See `Walk.decimal`."""
        rounded = self._bind(decimal_of(schema))
        self._write(self._op.DECIMAL, target, schema.get("scale", 0), schema["precision"], rounded)

    def converted(self, target: int, convert: Callable[[int], Any]) -> None:
        """See `Walk.converted`."""
        self._write(self._op.CONVERTED, target, self._bind(convert))

    def call(self, target: int, reader: Callable[[bytes, int], tuple[Any, int]]) -> None:
        """See `Walk.call`."""
        self._write(self._op.CALL, target, self._bind(reader))
