"""Writing Python source, statement by statement, with every value bound by a name of our own."""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fleet.cel.errors import EvaluationError, refused
from fleet.cel.values import MAX_SIZE, no_field, no_overload, too_large

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.cel.nodes import Node

MAX_BLOCKS: Final = 17  # Python refuses 20 nested blocks; a leaf needs one of its own.


class Value(NamedTuple):
    """A Python expression without side effects, and its type where that is known."""

    code: str
    kind: type | None = None


class Writer:
    """Statements of one function and the values that they name."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {
            "Decimal": Decimal,
            "Failure": EvaluationError,
            "no_field": no_field,
            "no_overload": no_overload,
            "too_large": too_large,
        }
        self._lines: list[str] = []
        self._indent = 1
        self._blocks = 0
        self._locals = 0
        self._bounded = False

    @property
    def body(self) -> list[str]:
        """The statements written so far."""
        return [f"    room = {MAX_SIZE}", *self._lines] if self._bounded else self._lines

    def write(self, line: str) -> None:
        """Append a statement."""
        self._lines.append("    " * self._indent + line)

    @contextmanager
    def under(self, header: str) -> Iterator[None]:
        """Indent what is written meanwhile below `header`."""
        self.write(header)
        self._indent += 1
        yield
        self._indent -= 1

    @contextmanager
    def block(self, node: Node, header: str) -> Iterator[None]:
        """As `under`, for a loop or a ``try``, of which Python nests only so many.

        Raises:
            ExpressionError: `node` nests too deeply.
        """
        if self._blocks >= MAX_BLOCKS:
            raise refused("&&, || and macros nested too deeply; split the rule", node.at.line, node.at.column)
        self._blocks += 1
        with self.under(header):
            yield
        self._blocks -= 1

    def local(self) -> str:
        """Return a fresh local name."""
        self._locals += 1
        return f"t{self._locals}"

    def bind(self, value: object) -> str:
        """Return a name for `value`."""
        name = f"k{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def assign(self, code: str, kind: type | None = None) -> Value:
        """Keep what `code` computes in a fresh local."""
        name = self.local()
        self.write(f"{name} = {code}")
        return Value(name, kind)

    def apply(self, function: Callable[..., Any], *arguments: str, kind: type | None = None) -> Value:
        """Call `function` and keep what it returns in a fresh local."""
        return self.assign(f"{self.bind(function)}({', '.join(arguments)})", kind)

    def spend(self, cost: str) -> None:
        """Take `cost` from what the loops of one evaluation may make and look at."""
        self._bounded = True
        self.write(f"room -= {cost}")
        self.write("if room < 0: raise too_large()")

    def require_bool(self, value: Value, symbol: str) -> None:
        """Fail unless `value` is true or false."""
        if value.kind is not bool:
            code = value.code
            self.write(
                f"if {code} is not True and {code} is not False: raise no_overload({symbol!r}, {code})"
            )
