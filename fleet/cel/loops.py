"""Macros as Python loops.

``exists`` and ``all`` absorb errors as ``||`` and ``&&`` do; ``exists_one``, ``map`` and
``filter`` do not (language definition, "Macros").

Loops draw on one allowance for each evaluation (`fleet.cel.values.MAX_SIZE`): for loops within
loops, for lists and text that they make, and for text and lists that they look at again and
again. What a single loop does with its element is free, for it is linear in the event. So no
expression can keep a worker busy or fill its memory, whatever an event holds.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from fleet.cel.nodes import Call, Comprehension, Index, Literal, Macro, Select, Variable
from fleet.cel.operations import elements, glance, weight
from fleet.cel.writer import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet.cel.compiler import Emitter
    from fleet.cel.nodes import Node

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
    small = value.kind in _SMALL or (not isinstance(transform, Call) and is_own(emitter, transform))
    emitter.spend("1" if small else f"{emitter.bind(weight)}({value.code})")
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
    if emitter.slots:
        emitter.spend(f"len({iterated})")
    emitter.slots.append(node.slot)
    with emitter.block(node, f"for v{node.slot} in {iterated}:"):
        yield
    emitter.slots.pop()


def charge(emitter: Emitter, node: Node, value: Value) -> None:
    """Pay for looking at all of `value`, within a loop of which it is not the own element."""
    if emitter.slots and value.kind not in _SMALL and not is_own(emitter, node):
        emitter.spend(f"{emitter.bind(glance)}({value.code})")


def is_own(emitter: Emitter, node: Node) -> bool:
    """Whether `node` is a constant, or within a single loop its element or a part of it."""
    while isinstance(node, Select | Index | Call):
        node = node.arguments[0] if isinstance(node, Call) else node.operand
    return isinstance(node, Literal) or (isinstance(node, Variable) and len(emitter.slots) == 1)


def charge_made(emitter: Emitter, value: Value) -> None:
    """Pay for what an operation within a loop has made."""
    if emitter.slots and value.kind not in _SMALL:
        emitter.spend(f"{emitter.bind(weight)}({value.code})")
