"""An expression: text in, a fast function and what it reads out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from fleet.cel.compiler import compile_node
from fleet.cel.nodes import Attribute, Node, children_of, path_of, walk
from fleet.cel.syntax import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fleet.cel.compiler import Compiled

_CACHED: Final = 4096


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression of any type; immutable and safe to share.

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
        """Compute the value for one event.

        Args:
            attributes: CloudEvents attributes by name, without the ``ce_`` prefix.
            fields: Returns the decoded event; called at most once, and only if a field is read.
            event: The decoded event, where it is decoded already.

        Returns:
            None, bool, int, float, Decimal, str, bytes, datetime (with its zone), timedelta, list or dict.

        Raises:
            EvaluationError: A field is missing or has a type that the expression cannot use.
        """
        return self.function(attributes, fields, event)


@lru_cache(maxsize=_CACHED)
def compile_expression(text: str) -> Expression:
    """Parse, check and compile `text`.

    Raises:
        ExpressionError: With line, column and reason.
    """
    tree = parse(text)
    return Expression(text, tree, *reads(tree), compile_node(tree, settle=True))


def reads(tree: Node) -> tuple[frozenset[str], frozenset[str]]:
    """Return the event fields that `tree` reads, each as deep as it is named, and the attributes."""
    attributes = frozenset(node.name for node in walk(tree) if isinstance(node, Attribute))
    return frozenset(_fields_read(tree)), attributes


def _fields_read(node: Node) -> Iterator[str]:
    path = ".".join(path_of(node))
    if path:
        yield path
    else:
        for child in children_of(node):
            yield from _fields_read(child)
