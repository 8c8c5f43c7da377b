"""Finds the few rules that can match an event, where an attribute or a field tells the rules apart.

A rule that starts from ``attributes.region == "TX"`` is false for every event of another region,
whatever the rest of it says: in a conjunction false decides, even beside an error (language
definition, "Logical Operators"). So the value of one attribute, and of one field, leaves a few
rules to look at, and the cost of an event does not grow with the number of rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from agents.router.domain.nodes import Attribute, Binary, Field, ListOf, Literal, Logic, Node, Select

if TYPE_CHECKING:
    from agents.router.domain.condition import Condition

MAX_REMEMBERED: Final = 10_000
_SHARED_BY: Final = 2

Path: TypeAlias = tuple[str, ...]
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
        self._attribute, attributes = _shared([dict(_attribute_values(tree)) for tree in trees])
        rest = [{} if known else _first_field(tree) for tree, known in zip(trees, attributes, strict=True)]
        self._path, fields = _shared(rest)
        self._wanted = list(zip(attributes, fields, strict=True))
        self._attribute_values = frozenset[str]().union(*(values for values in attributes if values))
        self._field_values = frozenset[str]().union(*(values for values in fields if values))
        self._found: dict[tuple[str | None, str | None], tuple[Route, ...]] = {}

    @property
    def reads_fields(self) -> bool:
        """Whether `candidates` needs the event: each of its rules by that field would, for every event."""
        return self._path is not None

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
        field: str | None = ""
        if self._path is not None and event is not None:
            field = _text_at(event, self._path)
            if field is not None and field not in self._field_values:
                field = ""
        found = self._found.get((attribute, field))
        if found is None:
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            found = self._found[attribute, field] = self._find(attribute, field)
        return found

    def _find(self, attribute: str | None, field: str | None) -> tuple[Route, ...]:
        return tuple(
            route
            for route, (attributes, fields) in zip(self._routes, self._wanted, strict=True)
            if _may_match(attributes, attribute) and _may_match(fields, field)
        )


def _may_match(wanted: frozenset[str] | None, value: str | None) -> bool:
    return wanted is None or value is None or value in wanted


def _shared(keyed: list[dict[Any, frozenset[str]]]) -> tuple[Any, list[frozenset[str] | None]]:
    """Return the key that most rules have, and the values that each of them has for it."""
    counts = Counter(key for values in keyed for key in values)
    ((key, count),) = counts.most_common(1) or [(None, 0)]
    if count < _SHARED_BY:
        return None, [None] * len(keyed)
    return key, [values.get(key) for values in keyed]


def _attribute_values(tree: Node) -> Iterator[tuple[str, frozenset[str]]]:
    for node in _conjuncts(tree):
        operand, values = _equality(node)
        if isinstance(operand, Attribute) and values:
            yield operand.name, values


def _first_field(tree: Node) -> dict[Path, frozenset[str]]:
    """Return the field that decides first: the event is decoded for it in any case."""
    operand, values = _equality(_conjuncts(tree)[0])
    path = _path(operand)
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


def _path(node: Node | None) -> Path:
    if isinstance(node, Field):
        return (node.name,)
    if isinstance(node, Select) and (before := _path(node.operand)):
        return (*before, node.name)
    return ()


def _text_at(event: Mapping[str, Any], path: Path) -> str | None:
    found: Any = event
    for name in path:
        if type(found) is not dict:
            return None
        found = found.get(name)
    return found if type(found) is str else None
