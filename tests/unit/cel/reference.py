"""cel-python's own evaluator, as the reference that compiled conditions are compared with."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import celpy
from celpy import celtypes
from celpy.evaluation import CELEvalError

from fleet.cel.compiler import compile_node
from fleet.cel.errors import EvaluationError, ExpressionError
from fleet.cel.syntax import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

logging.getLogger("celpy").setLevel(logging.CRITICAL)

ERROR: Final = "error"
_PLAIN: Final[tuple[type[Any], ...]] = (bool, int, float, str, bytes)
ATTRIBUTES: Final = {"type": "canonical.claim", "source": "/clearing-house", "id": "c-1"}


def compiled(text: str, event: Mapping[str, Any]) -> object:
    """Return what the compiled condition gives, or `ERROR`."""
    try:
        return plain(compile_node(parse(text))(ATTRIBUTES, lambda: event))
    except (EvaluationError, ExpressionError):
        return ERROR


def reference(text: str, event: Mapping[str, Any]) -> object:
    """Return what cel-python gives, or `ERROR`."""
    try:
        return plain(_program(text).evaluate({"event": _cel(event), "attributes": _cel(ATTRIBUTES)}))
    except (CELEvalError, TypeError):
        return ERROR


@lru_cache(maxsize=512)
def _program(text: str) -> celpy.Runner:
    environment = celpy.Environment()
    return environment.program(environment.compile(text))


def plain(value: Any) -> object:
    """Return a type name and a value that compare alike on both sides."""
    if isinstance(value, celtypes.BoolType):
        return ("bool", bool(value))
    for kind in _PLAIN:
        if isinstance(value, kind):
            return (kind.__name__, kind(value))
    if isinstance(value, list):
        return ("list", [plain(item) for item in value])
    return (type(value).__name__, value)


def _cel(value: Any) -> Any:
    if isinstance(value, dict):
        return celtypes.MapType({_cel(key): _cel(item) for key, item in value.items()})
    if isinstance(value, list):
        return celtypes.ListType([_cel(item) for item in value])
    kinds = {
        bool: celtypes.BoolType,
        int: celtypes.IntType,
        float: celtypes.DoubleType,
        str: celtypes.StringType,
        bytes: celtypes.BytesType,
    }
    return None if value is None else kinds[type(value)](value)
