"""What of an expression is computed once, when it is saved: calls of constants, patterns, time zones."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from fleet.cel.errors import EvaluationError, refused
from fleet.cel.functions import FUNCTIONS
from fleet.cel.nodes import Call, Literal

if TYPE_CHECKING:
    from fleet.cel.nodes import Node


def folded(node: Node) -> Node:
    """Return the constant that a call of constants gives, and any other node as it is.

    Raises:
        ExpressionError: The call fails: ``timestamp("yesterday")``.
    """
    if not isinstance(node, Call) or not FUNCTIONS[node.function].constant:
        return node
    arguments = [folded(argument) for argument in node.arguments]
    if not all(isinstance(argument, Literal) for argument in arguments):
        return node
    literals = cast("list[Literal]", arguments)
    try:
        value = FUNCTIONS[node.function].implementation(*(literal.value for literal in literals))
    except EvaluationError as error:
        at = literals[-1].at
        raise refused(error.message, at.line, at.column) from None
    return node if type(value) is list else Literal(node.at, value, _exact(value))


def _exact(value: Any) -> Decimal | None:
    return Decimal(value) if isinstance(value, int) and type(value) is not bool else None


def prepared(call: Call) -> list[Any]:
    """Return what is made of each argument beforehand; None for an argument that is none of these.

    Raises:
        ExpressionError: A pattern or a time zone written in the expression is none.
    """
    return [_made(call, place, argument) for place, argument in enumerate(call.arguments)]


def _made(call: Call, place: int, argument: Node) -> Any:
    make = FUNCTIONS[call.function].prepared.get(place)
    if make is None or not isinstance(argument, Literal) or not isinstance(argument.value, str):
        return None
    try:
        return make(argument.value)
    except EvaluationError as error:
        raise refused(error.message, argument.at.line, argument.at.column) from None
