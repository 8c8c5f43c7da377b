"""The type check against what happens at run time: it refuses what always fails, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fleet.cel.checker import _Checker, check
from fleet.cel.compiler import compile_node
from fleet.cel.errors import EvaluationError, ExpressionError
from fleet.cel.functions import FUNCTIONS
from fleet.cel.nodes import Binary, Call, Field, Literal, Node, Position, Uint, Unary
from fleet.cel.syntax import parse
from fleet.cel.types import Kind, Type, from_avro
from tests.unit.cel.events import EVENT, SCHEMA, events
from tests.unit.cel.expressions import SCALARS, texts

AT = Position(1, 1)
ORDER = from_avro(SCHEMA, "shop.order")
FIELDS: list[Node] = [Field(AT, name) for name in SCALARS]
CONSTANTS: list[Node] = [
    Literal(AT, True),  # noqa: FBT003 - a constant of the language
    Literal(AT, "UTC"),
    Literal(AT, b"x"),
    Literal(AT, 2, Decimal(2)),
    Literal(AT, Uint(2), Decimal(2)),
    Literal(AT, 2.5, Decimal("2.5")),
]
COLLECTIONS: list[Node] = [Field(AT, name) for name in ("codes", "numbers", "tags")]
TYPE_ERRORS = ("no such overload", "no such field")


def _is_refused(node: Node) -> bool:
    try:
        check(node, ORDER)
    except ExpressionError:
        return True
    return False


def _fails(node: Node, event: dict[str, Any] = EVENT) -> bool:
    """Whether evaluation meets types that do not fit, rather than a value that does not."""
    try:
        compile_node(node)({}, lambda: event, event)
    except EvaluationError as error:
        return error.message.startswith(TYPE_ERRORS)
    except ExpressionError as error:
        return any(text in str(error) for text in TYPE_ERRORS)
    return False


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "in"])
def test_operators_are_refused_for_the_types_that_fail(operator: str) -> None:
    """For each pair of types and constants the check says beforehand what the operator does."""
    pairs = itertools.product([*FIELDS, *CONSTANTS, *COLLECTIONS], repeat=2)
    nodes = [Binary(AT, operator, left, right) for left, right in pairs if _differ(operator, left, right)]
    wrong = [node for node in nodes if _is_refused(node) is not _fails(node)]

    assert len(nodes) > 300
    assert wrong == []


def _differ(operator: str, left: Node, right: Node) -> bool:
    """Leave out lists of different types, which are unequal where one has more elements than the other."""
    lists = {node for node in (left, right) if node in COLLECTIONS[:2]}
    return len(lists) < 2 or operator not in {"==", "!="}


@pytest.mark.parametrize("operator", ["!", "-"])
def test_signs_are_refused_for_the_types_that_fail(operator: str) -> None:
    """As above, for operators of one operand."""
    nodes = [Unary(AT, operator, operand) for operand in (*FIELDS, *COLLECTIONS)]

    assert [node for node in nodes if _is_refused(node) is not _fails(node)] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_refused_for_the_types_that_fail(name: str) -> None:
    """Each argument in turn is of each type, beside others that fit."""
    function = FUNCTIONS[name]
    fitting = [*FIELDS, *COLLECTIONS, *CONSTANTS[1:4]]
    calls = [
        Call(AT, name, arguments)
        for count in range(function.least, function.most + 1)
        for arguments in itertools.islice(itertools.product(fitting, repeat=count), 4000)
    ]
    wrong = [call for call in calls if _is_refused(call) is not _fails(call)]

    assert wrong == []


class _Watching(_Checker):
    """Notes whether the type of any part is known at run time alone."""

    unknown = False

    def type_of(self, node: Node) -> Type:
        found = super().type_of(node)
        self.unknown = self.unknown or found.kind is Kind.DYN
        return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(texts, st.lists(events, min_size=3, max_size=3))
def test_what_is_accepted_never_meets_wrong_types(text: str, some: list[dict[str, Any]]) -> None:
    """Of an accepted expression only values can fail: a null, a division by zero, an index out of range."""
    try:
        tree = parse(text)
        checker = _Watching(ORDER, ())
        checker.type_of(tree)
        function = compile_node(tree)
    except ExpressionError:
        assume(False)  # noqa: FBT003 - as the library has it
    assume(not checker.unknown)
    failed = [_error(function, event) for event in some]

    assert [error for error in failed if error.startswith("no such overload") and "null" not in error] == []


def _error(function: Callable[..., Any], event: dict[str, Any]) -> str:
    try:
        function({"id": "1"}, dict, event)
    except EvaluationError as error:
        return error.message
    return ""


def test_times_are_calculated_with_as_they_are_typed() -> None:
    """The type that the check gives is that of the value."""
    for text, expected in [
        ("event.at - event.day", timedelta(hours=12)),
        ("event.at + event.clock", datetime(2026, 2, 1, 0, 30, tzinfo=UTC)),
    ]:
        node = parse(text)
        kind = {timedelta: Kind.DURATION, datetime: Kind.TIMESTAMP}[type(expected)]

        assert check(node, ORDER).kind is kind
        assert compile_node(node)({}, dict, EVENT) == expected
