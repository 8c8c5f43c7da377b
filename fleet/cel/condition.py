"""Expressions and conditions: text in, a fast function and what it reads out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from fleet.cel.compiler import compile_node
from fleet.cel.errors import EvaluationError, refused
from fleet.cel.nodes import (
    Attribute,
    Binary,
    Call,
    Conditional,
    ListOf,
    Literal,
    Node,
    Position,
    path_of,
)
from fleet.cel.operations import type_name
from fleet.cel.syntax import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fleet.cel.compiler import Compiled

_CACHED: Final = 4096
_BOOLEAN: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; immutable and safe to share.

    Attributes:
        text: The expression as written.
        tree: Its checked tree.
        fields: Event fields that it reads: ``payer`` for all of it, ``payer.id`` where it reads that alone.
        attributes: CloudEvents attributes that it reads.
        function: The compiled function; `evaluate` is the named way to call it.
    """

    text: str
    tree: Node
    fields: frozenset[str]
    attributes: frozenset[str]
    function: Compiled

    @property
    def reads_fields(self) -> bool:
        """Whether an event may have to be decoded to evaluate it."""
        return bool(self.fields)

    def evaluate(
        self,
        attributes: Mapping[str, str],
        fields: Callable[[], Mapping[str, Any]],
        event: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return its value for one event.

        Args:
            attributes: CloudEvents attributes by name, without the ``ce_`` prefix.
            fields: Returns the decoded event; called at most once, and only if a field is read.
            event: The decoded event, where it is decoded already.

        Raises:
            EvaluationError: A field is missing or has a type that the expression cannot use.
        """
        return self.function(attributes, fields, event)


class Condition(Expression):
    """A compiled expression that is true or false; an empty text is ``true``."""

    __slots__ = ()

    @property
    def always(self) -> bool:
        """Whether it is true for every event."""
        return isinstance(self.tree, Literal) and self.tree.value is True

    def matches(
        self,
        attributes: Mapping[str, str],
        fields: Callable[[], Mapping[str, Any]],
        event: Mapping[str, Any] | None = None,
    ) -> bool:
        """Decide one event; for the arguments see `evaluate`.

        Raises:
            EvaluationError: A field is missing or has a type that the condition cannot use.
        """
        found = self.function(attributes, fields, event)
        if found is True or found is False:
            return found
        raise EvaluationError(f"the condition must be true or false, got {type_name(found)}")


@lru_cache(maxsize=_CACHED)
def compile_condition(text: str) -> Condition:
    """Parse, check and compile `text`; an empty text is always true.

    Raises:
        ExpressionError: With line, column and reason, e.g.
            ``line 1 column 17: unexpected ')'; expected a value``.
    """
    tree = parse(text) if text.strip() else Literal(Position(1, 1), True)  # noqa: FBT003
    if _never_boolean(tree):
        raise refused("the condition must be true or false; compare the value, e.g. with ==", 1, 1)
    return Condition(*_compiled(text, tree))


@lru_cache(maxsize=_CACHED)
def compile_expression(text: str) -> Expression:
    """Parse, check and compile `text`, whose value may be of any type.

    Raises:
        ExpressionError: With line, column and reason.
    """
    return Expression(*_compiled(text, parse(text)))


def _compiled(text: str, tree: Node) -> tuple[str, Node, frozenset[str], frozenset[str], Compiled]:
    attributes = frozenset(node.name for node in _walk(tree) if isinstance(node, Attribute))
    return text, tree, frozenset(_fields_read(tree)), attributes, compile_node(tree)


def _never_boolean(node: Node) -> bool:
    match node:
        case Literal():
            return type(node.value) is not bool
        case Binary():
            return node.operator not in _BOOLEAN
        case Call():
            return node.function == "size"
        case Conditional():
            return _never_boolean(node.then) and _never_boolean(node.otherwise)
        case _:
            return isinstance(node, ListOf | Attribute)


def _fields_read(node: Node) -> Iterator[str]:
    path = ".".join(path_of(node))
    if path:
        yield path
    else:
        for child in _children(node):
            yield from _fields_read(child)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in _children(node):
        yield from _walk(child)


def _children(node: Node) -> Iterator[Node]:
    for part in fields(node):
        child = getattr(node, part.name)
        for item in child if isinstance(child, tuple) else (child,):
            if isinstance(item, Node):
                yield item
