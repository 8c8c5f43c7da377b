"""Finds the few rules that can match an event, where an attribute or a field tells the rules apart.

A rule that starts from ``attributes.region == "TX"`` is false for every event of another region,
whatever the rest of it says: in a conjunction false decides, even beside an error (language
definition, "Logical Operators"). So the value of one attribute, and of a few fields, leaves a few
rules to look at, and the cost of an event does not grow with the number of rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from fleet.cel.nodes import Attribute, Binary, ListOf, Literal, Logic, Node, path_of

if TYPE_CHECKING:
    from fleet.cel.condition import Condition

MAX_REMEMBERED: Final = 10_000
MAX_PATHS: Final = 4
_SHARED_BY: Final = 2

Path: TypeAlias = tuple[str, ...]
Values: TypeAlias = frozenset[str]
Route = TypeVar("Route")


class Index(Generic[Route]):
    """The rules of one event type, in their order.

    Args:
        routes: The rules.
        condition_of: Gives the condition of a rule.
    """

    def __init__(self, routes: tuple[Route, ...], condition_of: Callable[[Route], Condition]) -> None:
        trees = [condition_of(route).tree for route in routes]
        self._routes = routes
        self._attribute = _most_shared(dict(_attribute_values(tree)) for tree in trees)
        wanted: list[dict[str | Path | None, Values]] = [
            {self._attribute: values[self._attribute]} if self._attribute in values else {}
            for values in (dict(_attribute_values(tree)) for tree in trees)
        ]
        rest = [tree for tree, known in zip(trees, wanted, strict=True) if not known]
        paths: list[Path] = []
        if _most_shared(map(_first_field, rest)) is not None:
            # The event is decoded in any case: whatever field tells rules apart is as good.
            counts = Counter(path for tree in rest for path in dict(_field_values(tree)))
            paths = [path for path, _ in counts.most_common(MAX_PATHS)]
            for tree, known in zip(trees, wanted, strict=True):
                values = dict(_field_values(tree))
                path = next((path for path in paths if not known and path in values), None)
                if path is not None:
                    known[path] = values[path]
        self._wanted = wanted
        self._attribute_values = _all_values(wanted, self._attribute)
        self._paths = [(path[0], path[1:], _all_values(wanted, path)) for path in paths]
        self._keys: tuple[str | Path | None, ...] = (self._attribute, *paths)
        self._found: dict[tuple[str | None, ...], tuple[Route, ...]] = {}

    @property
    def reads_fields(self) -> bool:
        """Whether `candidates` needs the event: some of its rules would, for every event."""
        return bool(self._paths)

    def candidates(
        self, attributes: Mapping[str, str], event: Mapping[str, Any] | None = None
    ) -> tuple[Route, ...]:
        """Return the rules that may match, or fail, in order: the others are false for this event.

        Args:
            attributes: Attributes of the event.
            event: The decoded event; needed where the index `reads_fields`.
        """
        # None: cannot tell, so all of them. An empty text: none of the values that a rule asks for.
        attribute: str | None = ""
        if self._attribute is not None:
            attribute = attributes.get(self._attribute)
            if attribute is not None and attribute not in self._attribute_values:
                attribute = ""
        values = [attribute]
        if event is not None:
            for first, inner, known in self._paths:
                value = event.get(first)
                for name in inner:
                    value = value.get(name) if type(value) is dict else None
                values.append(None if type(value) is not str else value if value in known else "")
        key = tuple(values)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            found = self._found[key] = self._find(key)
        return found

    def _find(self, values: tuple[str | None, ...]) -> tuple[Route, ...]:
        value_of = dict(zip(self._keys, values, strict=True))
        return tuple(
            route
            for route, wanted in zip(self._routes, self._wanted, strict=True)
            if all(_may_match(texts, value_of[key]) for key, texts in wanted.items())
        )


def _may_match(wanted: Values, value: str | None) -> bool:
    return value is None or value in wanted


def _most_shared(keyed: Iterable[Mapping[Any, Values]]) -> Any:
    """Return the key that most rules have, None where no two have one."""
    counts = Counter(key for values in keyed for key in values)
    ((key, count),) = counts.most_common(1) or [(None, 0)]
    return key if count >= _SHARED_BY else None


def _all_values(wanted: Iterable[Mapping[Any, Values]], key: str | Path | None) -> Values:
    return Values().union(*(values[key] for values in wanted if key in values))


def _attribute_values(tree: Node) -> Iterator[tuple[str, frozenset[str]]]:
    for node in _conjuncts(tree):
        operand, values = _equality(node)
        if isinstance(operand, Attribute) and values:
            yield operand.name, values


def _field_values(tree: Node) -> Iterator[tuple[Path, frozenset[str]]]:
    for node in _conjuncts(tree):
        operand, values = _equality(node)
        path = path_of(operand)
        if path and values:
            yield path, values


def _first_field(tree: Node) -> dict[Path, frozenset[str]]:
    """Return the field that decides first: the event is decoded for it in any case."""
    operand, values = _equality(_conjuncts(tree)[0])
    path = path_of(operand)
    return {path: values} if path and values else {}


def _conjuncts(tree: Node) -> tuple[Node, ...]:
    return tree.operands if isinstance(tree, Logic) and tree.operator == "&&" else (tree,)


def _equality(node: Node) -> tuple[Node | None, frozenset[str]]:
    """Return what is compared, and the non-empty texts of which it must be one."""
    if not isinstance(node, Binary):
        return None, frozenset()
    if node.operator == "==":
        operand, other = node.left, node.right
        if isinstance(operand, Literal):
            operand, other = other, operand
        texts = [other]
    elif node.operator == "in" and isinstance(node.right, ListOf):
        operand, texts = node.left, list(node.right.items)
    else:
        return None, frozenset()
    values = {text.value for text in texts if isinstance(text, Literal) and isinstance(text.value, str)}
    if len(values) != len(set(texts)) or "" in values:
        return None, frozenset()
    return operand, frozenset(values)
