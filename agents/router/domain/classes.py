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

if TYPE_CHECKING:
    from agents.router.domain.routing import Route

MAX_PATHS: Final = 64
FIRST: Final = 2
LAST: Final = 255
MAX_TEXTS: Final = 10_000
_COMPARED: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})


class FieldTests:
    """The tests of one field, by which its values fall into classes (`schemas.projection.Classes`).

    Args:
        path: The field.
        tests: The tests.

    Attributes:
        texts: Classes of texts so far, by their UTF-8 bytes.
        numbers: Constants that numbers are compared with, sorted; None where numbers are tested otherwise.
    """

    def __init__(self, path: str, tests: Iterable[Node]) -> None:
        nodes = list(tests)
        self.texts: dict[bytes, int] = {}
        self.numbers = _numbers(nodes)
        self._functions = [compile_node(node) for node in nodes]
        self._names = path.split(".")
        self._classes: dict[tuple[str, ...], int] = {}

    def learn(self, text: bytes) -> int | None:
        """Return the class of a text, and add it to `texts`; None where there are no more classes."""
        try:
            event: Any = text.decode()
        except UnicodeDecodeError:
            return None
        for name in reversed(self._names):
            event = {name: event}
        outcomes = tuple(_outcome(function, event) for function in self._functions)
        known = self._classes.get(outcomes)
        if known is None:
            known = FIRST + len(self._classes)
            if known > LAST:
                return None
            self._classes[outcomes] = known
        if len(self.texts) >= MAX_TEXTS:
            self.texts.clear()
        self.texts[text] = known
        return known


def _outcome(function: Callable[..., Any], event: Mapping[str, Any]) -> str:
    try:
        return repr(function({}, dict, event))
    except EvaluationError as error:
        return f"! {error.message}"


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
    if not isinstance(test, Binary):
        return None
    if test.operator in _COMPARED:
        sides = [test.right] if path_of(test.left) else [test.left] if path_of(test.right) else []
    elif test.operator == "in" and path_of(test.left) and isinstance(test.right, ListOf):
        sides = list(test.right.items)
    else:
        return None
    if not sides or not all(isinstance(side, Literal) for side in sides):
        return None
    numbers = [side.decimal for side in sides if isinstance(side, Literal)]
    # Compared with what is no number every number is the same: an error, or another than null.
    return {number for number in numbers if number is not None}


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
