"""Macros as Python loops.

``exists`` and ``all`` absorb errors as ``||`` and ``&&`` do; ``exists_one``, ``map`` and
``filter`` do not (language definition, "Macros"). Loops in loops, and lists that loops make,
draw on one allowance of elements for each evaluation (`fleet.cel.values.MAX_SIZE`): no
expression can keep a worker busy or fill its memory, whatever an event holds.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from fleet.cel.nodes import Attribute, Comprehension, Field, Index, Literal, Macro, Select, Variable
from fleet.cel.operations import elements, weight
from fleet.cel.writer import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet.cel.compiler import Emitter
    from fleet.cel.nodes import Node

_REFERENCES: Final = (Attribute, Field, Index, Literal, Select, Variable)
_SMALL: Final = frozenset({bool, int, float})


def macro(emitter: Emitter, node: Macro) -> Value:
    """Write ``exists``, ``all`` or ``exists_one``."""
    if node.kind == "exists_one":
        return _exists_one(emitter, node)
    source = emitter.value(node.source)
    found, pending = emitter.local(), emitter.local()
    neutral = "False" if node.kind == "exists" else "True"
    decided = found if neutral == "False" else f"not {found}"
    emitter.write(f"{found} = {neutral}; {pending} = None")
    with _each(emitter, node, source):
        with emitter.block(node, "try:"):
            value = emitter.value(node.predicate)
            emitter.require_bool(value, node.kind)
            emitter.write(f"{found} = {value.code}")
            emitter.write(f"if {decided}: break")
        emitter.write(f"except Failure as error: {pending} = error.message")
    emitter.write(f"if {pending} is not None and not ({decided}): raise Failure({pending})")
    return Value(found, bool)


def comprehension(emitter: Emitter, node: Comprehension) -> Value:
    """Write ``map`` or ``filter``."""
    source, found = emitter.value(node.source), emitter.local()
    emitter.write(f"{found} = []")
    with _each(emitter, node, source):
        if node.predicate is None:
            _append(emitter, node, found)
        else:
            predicate = emitter.value(node.predicate)
            emitter.require_bool(predicate, "filter" if node.transform is None else "map")
            with emitter.under(f"if {predicate.code}:"):
                _append(emitter, node, found)
    return Value(found, list)


def _append(emitter: Emitter, node: Comprehension, found: str) -> None:
    transform: Node = node.transform or Variable(node.at, node.slot)
    value = emitter.value(transform)
    shared = isinstance(transform, _REFERENCES) or value.kind in _SMALL
    emitter.spend("1" if shared else f"{emitter.bind(weight)}({value.code})")
    emitter.write(f"{found}.append({value.code})")


def _exists_one(emitter: Emitter, node: Macro) -> Value:
    source, count = emitter.value(node.source), emitter.local()
    emitter.write(f"{count} = 0")
    with _each(emitter, node, source):
        value = emitter.value(node.predicate)
        emitter.require_bool(value, node.kind)
        emitter.write(f"if {value.code}: {count} += 1")
    return emitter.assign(f"{count} == 1", bool)


@contextmanager
def _each(emitter: Emitter, node: Macro | Comprehension, source: Value) -> Iterator[None]:
    iterated = emitter.apply(elements, source.code).code
    if emitter.loops:
        emitter.spend(f"len({iterated})")
    emitter.loops += 1
    with emitter.block(node, f"for v{node.slot} in {iterated}:"):
        yield
    emitter.loops -= 1
