"""The checked syntax tree of an expression.

Only what the compiler can run exists here: whatever else the grammar allows is refused
by `fleet.cel.syntax` before a node is made. Every node knows its position,
so that later checks and explanations can point at it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator


class Uint(int):
    """A CEL ``uint``: unsigned 64 bits, a type of its own beside ``int``."""

    __slots__ = ()


Constant: TypeAlias = str | bytes | bool | int | float | Decimal | datetime | timedelta | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a node is in the text.

    Attributes:
        line: Line to point at, from 1.
        column: Column to point at, from 1: of a call the name, of all else where it begins.
        start: Where the text of the node begins, in characters from 0.
        end: Where it ends; parentheses around it do not belong to it.
    """

    line: int
    column: int
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `decimal` is a number exactly as written, for use beside decimals.

    A decimal, a timestamp or a duration is written as a call; the compiler computes it once.
    """

    at: Position
    value: Constant
    decimal: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """A CloudEvents attribute of the event, always a string: ``attributes.type``."""

    at: Position
    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """A top-level field of the decoded event: ``event.total_charge``."""

    at: Position
    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    """The element that a macro is looking at; `slot` is unique within the condition."""

    at: Position
    slot: int


@dataclass(frozen=True, slots=True)
class Select:
    """A field of a nested record: ``event.payer.name``."""

    at: Position
    operand: Node
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """An element of a list or a map: ``event.codes[0]``."""

    at: Position
    operand: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Has:
    """Whether a path exists: ``has(event.payer.name)``."""

    at: Position
    path: Attribute | Field | Select


@dataclass(frozen=True, slots=True)
class Unary:
    """``!`` or ``-`` before an operand."""

    at: Position
    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison, ``in``, or arithmetic."""

    at: Position
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic:
    """A chain of ``&&`` or of ``||``, flattened; at least two operands."""

    at: Position
    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Conditional:
    """``test ? then : otherwise``."""

    at: Position
    test: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list literal."""

    at: Position
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map literal; `keys` and `values` run in parallel."""

    at: Position
    keys: tuple[Node, ...]
    values: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function or method of `fleet.cel.functions`: ``size(x)`` and ``x.size()`` are the same call."""

    at: Position
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Macro:
    """``exists``, ``all`` or ``exists_one`` over the elements of `source`, each bound to `slot` in turn."""

    at: Position
    kind: str
    source: Node
    slot: int
    predicate: Node


@dataclass(frozen=True, slots=True)
class Comprehension:
    """``map`` or ``filter``: a list made of the elements of `source`, each bound to `slot` in turn.

    Attributes:
        predicate: What an element has to meet; None takes all.
        transform: What becomes of an element; None keeps it as it is.
    """

    at: Position
    source: Node
    slot: int
    predicate: Node | None
    transform: Node | None


Node: TypeAlias = (
    Literal
    | Attribute
    | Field
    | Variable
    | Select
    | Index
    | Has
    | Unary
    | Binary
    | Logic
    | Conditional
    | ListOf
    | MapOf
    | Call
    | Macro
    | Comprehension
)


def children_of(node: Node) -> Iterator[Node]:
    """Yield the nodes directly below `node`, in the order of the text."""
    for part in fields(node):
        child = getattr(node, part.name)
        for item in child if isinstance(child, tuple) else (child,):
            if isinstance(item, Node):
                yield item


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and every node below it."""
    yield node
    for child in children_of(node):
        yield from walk(child)


def path_of(node: Node | None) -> tuple[str, ...]:
    """Return the names of a field within the event, outermost first; none where `node` is something else."""
    if isinstance(node, Field):
        return (node.name,)
    if isinstance(node, Select) and (before := path_of(node.operand)):
        return (*before, node.name)
    return ()
