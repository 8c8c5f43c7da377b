"""Classes of field values: events that no rule can tell apart, found without decoding them.

A condition is made of tests that read one field each, put together by ``&&``, ``||``, ``!`` and ``?:``.
Events whose fields are in equal classes pass the same tests, so they match the same rules: what one
of them decided holds for the next. A rule with a test of another kind is decided for each event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from fleet.cel.compiler import compile_node
from fleet.cel.errors import EvaluationError
from fleet.cel.expression import reads
from fleet.cel.nodes import Binary, Conditional, Has, ListOf, Literal, Logic, Node, Unary, path_of
from schemas.projection.classify import FIRST, LAST, MAX_PATHS

if TYPE_CHECKING:
    from agents.router.domain.routing import Route

MAX_TEXTS: Final = 10_000
MAX_RUN: Final = 16
"""Tests of a text, other than for equality, that are run where it was not seen before."""
_EQUAL: Final = frozenset({"==", "!="})
_COMPARED: Final = _EQUAL | {"<", "<=", ">", ">="}


class FieldTests:
    """The tests of one field, by which its values fall into classes (`schemas.projection.Classes`).

    Args:
        path: The field.
        tests: The tests.

    Attributes:
        texts: Classes of texts so far, by their UTF-8 bytes; None where there are too many tests of texts.
        numbers: Constants that numbers are compared with, sorted; None where numbers are tested otherwise.
    """

    def __init__(self, path: str, tests: Iterable[Node]) -> None:
        nodes = list(tests)
        self.numbers = _numbers(nodes)
        # Which of them it is settles all tests for equality: only the others need be run.
        self._asked_for = frozenset[str]().union(*(_texts(node) or () for node in nodes))
        run = [node for node in nodes if _texts(node) is None]
        are_few = len(run) <= MAX_RUN and len(self._asked_for) <= LAST - FIRST
        self.texts: dict[bytes, int] | None = {} if are_few else None
        self._functions = [compile_node(node) for node in run] if are_few else []
        self._names = path.split(".")
        self._classes: dict[tuple[str | None, ...], int] = {}

    def learn(self, text: bytes) -> int | None:
        """Return the class of a text, and add it to `texts`; None where it has none."""
        try:
            decoded = text.decode()
        except UnicodeDecodeError:
            return None
        known = self._class_of(decoded)
        if known is not None and self.texts is not None:
            if len(self.texts) >= MAX_TEXTS:
                self.texts.clear()
            self.texts[text] = known
        return known

    def _class_of(self, text: str) -> int | None:
        event: Any = text
        for name in reversed(self._names):
            event = {name: event}
        outcomes = [_outcome(function, event) for function in self._functions]
        key = (text if text in self._asked_for else None, *outcomes)
        known = self._classes.setdefault(key, FIRST + len(self._classes))
        if known <= LAST:
            return known
        del self._classes[key]
        return None


def _outcome(function: Callable[..., Any], event: Mapping[str, Any]) -> str:
    try:
        return repr(function({}, dict, event))
    except EvaluationError as error:
        return f"! {error.message}"


def _texts(test: Node) -> frozenset[str] | None:
    """Return the texts that a test asks whether its field is; None where it asks something else of texts."""
    if isinstance(test, Has) or path_of(test):
        return frozenset()
    sides = _sides(test, _EQUAL)
    return None if sides is None else frozenset(side.value for side in sides if isinstance(side.value, str))


def _numbers(tests: Iterable[Node]) -> tuple[Decimal, ...] | None:
    found: set[Decimal] = set()
    for test in tests:
        constants = _constants(test)
        if constants is None:
            return None
        found |= constants
    return tuple(sorted(found))


def _constants(test: Node) -> set[Decimal] | None:
    """Return the numbers that a test compares its field with; None where it does something else."""
    if isinstance(test, Has) or path_of(test):
        return set()
    sides = _sides(test, _COMPARED)
    # Compared with what is no number every number is the same: an error, or another than null.
    return None if sides is None else {side.decimal for side in sides if side.decimal is not None}


def _sides(test: Node, operators: frozenset[str]) -> list[Literal] | None:
    """Return the constants that a test compares its field with; None where it is no such test."""
    if not isinstance(test, Binary):
        return None
    sides: list[Node] = []
    if test.operator in operators:
        sides = [test.right] if path_of(test.left) else [test.left] if path_of(test.right) else []
    elif test.operator == "in" and path_of(test.left) and isinstance(test.right, ListOf):
        sides = list(test.right.items)
    literals = [side for side in sides if isinstance(side, Literal)]
    return literals if literals and len(literals) == len(sides) else None


class Classed:
    """Rules that classes decide, and how.

    Attributes:
        tests: The tests of each field that they read, by path.
        routes: The rules.
        rest: The others.
    """

    def __init__(self, routes: Iterable[Route], unclassed: frozenset[str] = frozenset()) -> None:
        """Sort `routes`; fields that are `unclassed` have no classes."""
        sorted_tests = [(route, _tests(route.condition.tree)) for route in routes]
        paths = _paths(tests for _, tests in sorted_tests if tests is not None)
        usable = {path for path in paths if path not in unclassed and not _is_within(path, paths)}
        usable = set(sorted(usable)[:MAX_PATHS])
        self.routes: list[Route] = []
        self.rest: list[Route] = []
        by_path: dict[str, list[Node]] = {}
        for route, tests in sorted_tests:
            if tests is None or any(path not in usable for path, _ in tests):
                self.rest.append(route)
                continue
            self.routes.append(route)
            for path, node in tests:
                by_path.setdefault(path, []).append(node)
        self.tests = {path: FieldTests(path, nodes) for path, nodes in sorted(by_path.items())}


def _paths(tests: Iterable[list[tuple[str, Node]]]) -> set[str]:
    return {path for each in tests for path, _ in each}


def _is_within(path: str, paths: set[str]) -> bool:
    """Return whether another of the paths is a part of `path`, or `path` of another."""
    return any(other.startswith(f"{path}.") or path.startswith(f"{other}.") for other in paths)


def _tests(tree: Node) -> list[tuple[str, Node]] | None:
    """Return the tests that a condition is made of, with the field of each; None where one reads more."""
    found: list[tuple[str, Node]] = []
    for test in _leaves(tree):
        paths, attributes = reads(test)
        if not paths:
            continue  # Of attributes and constants: the same for all events that are looked up together.
        if len(paths) > 1 or attributes:
            return None
        (path,) = paths
        found.append((path, test))
    return found


def _leaves(node: Node) -> Iterator[Node]:
    match node:
        case Logic():
            for operand in node.operands:
                yield from _leaves(operand)
        case Unary() if node.operator == "!":
            yield from _leaves(node.operand)
        case Conditional():
            for part in (node.test, node.then, node.otherwise):
                yield from _leaves(part)
        case _:
            yield node
