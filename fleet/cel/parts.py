"""Parts of an expression, evaluated one by one for one event.

Each is evaluated as the whole is, by the compiler, so what is said of a part cannot differ from what was
decided. Elements of macros are bound as fields of the event.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fleet.cel.compiler import compile_node
from fleet.cel.errors import EvaluationError
from fleet.cel.explanation import Reading, shown
from fleet.cel.expression import reads
from fleet.cel.nodes import (
    Attribute,
    Comprehension,
    Field,
    Index,
    Macro,
    Node,
    Select,
    Variable,
    children_of,
    walk,
)
from fleet.cel.operations import elements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fleet.cel.compiler import Compiled

_READ: Final = (Attribute, Field, Select, Index, Variable, Comprehension)
_AnyNode = TypeVar("_AnyNode", bound=Node)


class Failed:
    """Stands for the value of a part that failed.

    Attributes:
        message: Why, free of values.
    """

    def __init__(self, message: str) -> None:
        self.message = message


@dataclass(frozen=True, slots=True)
class Moment:
    """What the parts of an expression see.

    Attributes:
        text: The expression as written.
        attributes: CloudEvents attributes.
        event: The event, with the elements that are bound as fields of it.
        origins: Fields of the event that each bound element comes from.
        element: The innermost element that is bound, e.g. ``event.lines[1]``.
    """

    text: str
    attributes: Mapping[str, str]
    event: Mapping[str, Any]
    origins: Mapping[str, tuple[str, ...]]
    element: str = ""

    def value(self, node: Node) -> Any:
        """Return the value of `node`, or what failed."""
        return self._run(compile_node(_bound(node, self.event)))

    def _run(self, function: Compiled) -> Any:
        try:
            return function(self.attributes, dict, self.event)
        except EvaluationError as error:
            return Failed(error.message)

    def quote(self, node: Node) -> str:
        """Return `node` as written."""
        return self.text[node.at.start : node.at.end]

    def place(self, node: Node) -> tuple[int, int]:
        """Return line and column where `node` begins, from 1."""
        before = self.text[: node.at.start]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1

    def each(self, node: Macro | Comprehension) -> Iterator[Moment]:
        """Yield the moment of each element that a macro goes over; none where there is nothing to go over."""
        source = self.value(node.source)
        try:
            iterated = elements(source)
        except EvaluationError:
            return
        quoted, name = self.quote(node.source), _name(node.slot)
        origins = {**self.origins, name: self._fields(node.source)}
        for place, element in enumerate(iterated):
            index = json.dumps(shown(element)) if isinstance(source, dict) else place
            event = {**self.event, name: element}
            yield replace(self, event=event, origins=origins, element=f"{quoted}[{index}]")

    def readings(self, node: Node) -> Iterator[Reading]:
        """Yield the values that `node` read, in the order of the text."""
        if isinstance(node, _READ):
            if _free(node) <= self.origins.keys():
                yield self._reading(node)
        elif not isinstance(node, Macro):
            for child in children_of(node):
                yield from self.readings(child)

    def _reading(self, node: Node) -> Reading:
        """Return the value of a path, or how far it leads."""
        value = self.value(node)
        if not isinstance(value, Failed):
            return Reading.of(self.quote(node), value, self._fields(node))
        if isinstance(node, Select | Index) and not isinstance(self.value(node.operand), dict | list):
            return self._reading(node.operand)
        return Reading.missing(self.quote(node))

    def _fields(self, node: Node) -> tuple[str, ...]:
        read, _ = reads(_bound(node, self.event))
        found = (self.origins.get(path.partition(".")[0], (path,)) for path in read)
        return tuple(sorted(set().union(*found)))


def values(node: Node, moments: Sequence[Moment]) -> list[Any]:
    """Return the value of `node` for each of the elements of one macro, or what failed."""
    if not moments:
        return []
    function = compile_node(_bound(node, moments[0].event))
    return [each._run(function) for each in moments]  # noqa: SLF001 - compiled once for all of them


def _name(slot: int) -> str:
    """Return the field that an element is bound as; no field can be called that."""
    return f"${slot}"


def _free(node: Node) -> set[str]:
    """Return the names of elements that `node` reads and does not bind itself."""
    parts = list(walk(node))
    own = {part.slot for part in parts if isinstance(part, Macro | Comprehension)}
    return {_name(part.slot) for part in parts if isinstance(part, Variable) and part.slot not in own}


def _bound(node: _AnyNode, event: Mapping[str, Any]) -> _AnyNode | Field:
    """Return `node` with elements that are bound read as fields."""
    if isinstance(node, Variable):
        name = _name(node.slot)
        return Field(node.at, name) if name in event else node
    changes: dict[str, Any] = {}
    for part in fields(node):
        child = getattr(node, part.name)
        if isinstance(child, Node):
            changes[part.name] = _bound(child, event)
        elif isinstance(child, tuple):
            changes[part.name] = tuple(_bound(item, event) for item in child)
    return replace(node, **changes) if changes else node
