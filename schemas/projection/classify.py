"""Classes of values: what tells events apart for a set of tests, read without decoding them.

A test of a number against constants has as many outcomes as there are places among them, a test of a
text as many as there are texts it asks for. A classifier reads an event's bytes and gives the class of each
field that is tested; events of equal classes pass the same tests. It needs the compiled module.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Protocol, TypeAlias

from schemas.projection.program import ProgramWriter
from schemas.projection.walk import ProjectionError, Wanted

Classifier: TypeAlias = Callable[[bytes, int], bytes | None]

MAX_PATHS: Final = 64
NULL: Final = 1
"""Class of a null; 0 is that of a field that is not there."""
FIRST: Final = 2
LAST: Final = 255
_LONGS: Final = range(-(2**63), 2**63)


class Classes(Protocol):
    """The tests of one field.

    Attributes:
        texts: Classes of texts so far, by their UTF-8 bytes; None where texts have none.
        numbers: Constants that numbers are compared with, sorted; None where numbers are tested otherwise.
    """

    texts: dict[bytes, int] | None
    numbers: tuple[Decimal, ...] | None

    def learn(self, text: bytes) -> int | None:
        """Return the class of a text, `FIRST` to `LAST`, and add it to `texts`; None where it has none."""
        ...


class UnclassedError(ProjectionError):
    """Values of a field have no classes.

    Attributes:
        path: The field, or one that it is within.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"values of {path} have no classes")
        self.path = path


class ClassWriter(ProgramWriter[str]):
    """Writes a classifier; a target is the path of its field.

    Args:
        compiled: The module that runs it.
        tests: The tests by path, in the order of their classes.
    """

    def __init__(self, compiled: Any, tests: Mapping[str, Classes]) -> None:
        super().__init__(compiled)
        self._tests = tests
        self._slots = {path: slot for slot, path in enumerate(tests)}
        self._kinds: dict[str, str] = {}

    def classifier(self) -> Classifier:
        """Return the classifier that was written."""
        classifier: Classifier = self._program(len(self._slots))
        return classifier

    def target(self, name: str) -> str:
        """See `Walk.target`."""
        return name

    def record(self, target: str, fields: list[Any], wanted: Wanted, depth: int) -> None:
        """See `Walk.record`."""
        if wanted is None:
            raise UnclassedError(target)
        self.fields(fields, wanted, lambda name: f"{target}.{name}", depth)

    def plain(self, target: str, schema: Any, kind: str) -> None:
        """See `Walk.plain`."""
        op, slot = self._op, self._slots.get(target)
        if kind == "null":
            if slot is not None:  # Else a record that is null: fields of it are not there.
                self._write(op.CLASS, slot, NULL)
            return
        if slot is None:
            raise UnclassedError(target)
        self._only(target, kind)
        tests = self._tests[target]
        if kind in {"string", "enum"} and tests.texts is None:
            raise UnclassedError(target)
        if kind == "string":
            self._write(op.TEXT_CLASS, slot, self._bind(tests.texts), self._bind(tests.learn))
        elif kind == "enum":
            classes = tuple(tests.learn(symbol.encode()) for symbol in schema["symbols"])
            if None in classes:
                raise UnclassedError(target)
            self._write(op.ENUM_CLASS, slot, self._bind(classes))
        elif kind == "boolean":
            self._write(op.BOOLEAN_CLASS, slot, FIRST)
        elif kind in {"int", "long"}:
            self._write(op.LONG_CLASS, slot, FIRST, self._bounds(target, 0))
        else:
            raise UnclassedError(target)

    def decimal(self, target: str, schema: Any) -> None:
        """See `Walk.decimal`."""
        if target not in self._slots:
            raise UnclassedError(target)
        self._only(target, "decimal")
        bounds = self._bounds(target, schema.get("scale", 0))
        self._write(self._op.DECIMAL_CLASS, self._slots[target], FIRST, bounds, schema["precision"])

    def converted(self, target: str, convert: Callable[[int], Any]) -> None:
        """See `Walk.converted`."""
        del convert
        raise UnclassedError(target)

    def call(self, target: str, reader: Callable[[bytes, int], tuple[Any, int]]) -> None:
        """See `Walk.call`."""
        del reader
        raise UnclassedError(target)

    def _only(self, target: str, kind: str) -> None:
        """Refuse a union of several types: their classes would be the same numbers."""
        if self._kinds.setdefault(target, kind) != kind:
            raise UnclassedError(target)

    def _bounds(self, target: str, scale: int) -> int:
        numbers = self._tests[target].numbers
        if numbers is None or FIRST + 2 * len(numbers) > LAST:
            raise UnclassedError(target)
        return self._bind(b"".join(_packed(target, numbers, scale)))


def _packed(target: str, numbers: tuple[Decimal, ...], scale: int) -> Iterator[bytes]:
    for number in numbers:
        # Exact, however many digits it has.
        numerator, denominator = number.as_integer_ratio()
        numerator *= 10**scale
        whole = numerator // denominator
        if whole not in _LONGS:
            raise UnclassedError(target)
        yield struct.pack("=qq", whole, numerator % denominator == 0)
