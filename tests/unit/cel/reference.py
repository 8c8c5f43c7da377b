"""cel-python's own evaluator, as the reference that compiled expressions are compared with."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import celpy
from celpy import celtypes
from celpy.evaluation import CELEvalError

from fleet.cel import EvaluationError, ExpressionError, compile_expression
from fleet.cel.nodes import Uint
from tests.unit.cel.differences import STRICT

if TYPE_CHECKING:
    from collections.abc import Mapping

logging.getLogger("celpy").setLevel(logging.CRITICAL)
celpy.Environment()  # raises Python's recursion limit, which no test should see change

ERROR: Final = "error"
ATTRIBUTES: Final = {
    "type": "canonical.claim",
    "source": "/clearing-house",
    "id": "c-1",
    "time": "2026-01-31T04:30:00Z",
    "region": "north",
}
_NAMES: Final[tuple[tuple[type, str, type], ...]] = (
    (celtypes.BoolType, "bool", bool),
    (celtypes.UintType, "uint", int),
    (Uint, "uint", int),
    (bool, "bool", bool),
    (int, "int", int),
    (float, "double", float),
    (str, "string", str),
    (bytes, "bytes", bytes),
)
_KINDS: Final[Mapping[type, type]] = {
    bool: celtypes.BoolType,
    int: celtypes.IntType,
    float: celtypes.DoubleType,
    str: celtypes.StringType,
    bytes: celtypes.BytesType,
    datetime: celtypes.TimestampType,
    timedelta: celtypes.DurationType,
}


def compiled(text: str, event: Mapping[str, Any]) -> object:
    """Return what the compiled expression gives, or `ERROR`."""
    try:
        return plain(compile_expression(text).evaluate(ATTRIBUTES, lambda: event))
    except (EvaluationError, ExpressionError):
        return ERROR


def reference(text: str, event: Mapping[str, Any]) -> object:
    """Return what cel-python gives, or `ERROR`; some of its errors are Python's own."""
    try:
        return plain(_program(text).evaluate({"event": _cel(event), "attributes": _cel(ATTRIBUTES)}))
    except (CELEvalError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError):
        return ERROR


@lru_cache(maxsize=1024)
def _program(text: str) -> celpy.Runner:
    environment = celpy.Environment()
    return environment.program(environment.compile(text), functions=dict(STRICT))


def plain(value: Any) -> object:
    """Return a type name and a value that compare alike on both sides."""
    for kind, name, convert in _NAMES:
        if isinstance(value, kind):
            return (name, repr(convert(value)))
    if isinstance(value, datetime):
        return ("timestamp", value.astimezone(UTC).isoformat())
    if isinstance(value, timedelta):
        return ("duration", value / timedelta(microseconds=1))
    if isinstance(value, list):
        return ("list", [plain(item) for item in value])
    if isinstance(value, dict):
        return ("map", sorted(((plain(key), plain(item)) for key, item in value.items()), key=repr))
    return (type(value).__name__, value)


def _cel(value: Any) -> Any:
    if isinstance(value, dict):
        return celtypes.MapType({_cel(key): _cel(item) for key, item in value.items()})
    if isinstance(value, list):
        return celtypes.ListType([_cel(item) for item in value])
    return None if value is None else _KINDS[type(value)](value)
