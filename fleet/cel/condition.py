"""A condition: text in, a fast function and what it reads out."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from fleet.cel.compiler import compile_node
from fleet.cel.errors import EvaluationError, refused
from fleet.cel.expression import Expression, reads
from fleet.cel.functions import FUNCTIONS
from fleet.cel.nodes import (
    Attribute,
    Binary,
    Call,
    Comprehension,
    Conditional,
    ListOf,
    Literal,
    MapOf,
    Node,
    Position,
)
from fleet.cel.syntax import parse
from fleet.cel.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CACHED: Final = 4096
_BOOLEAN: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})


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
    return Condition(text, tree, *reads(tree), compile_node(tree))


def _never_boolean(node: Node) -> bool:
    match node:
        case Literal():
            return type(node.value) is not bool
        case Binary():
            return node.operator not in _BOOLEAN
        case Call():
            return FUNCTIONS[node.function].kind not in {None, bool}
        case Conditional():
            return _never_boolean(node.then) and _never_boolean(node.otherwise)
        case _:
            return isinstance(node, ListOf | MapOf | Comprehension | Attribute)
