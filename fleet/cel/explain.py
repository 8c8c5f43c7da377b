"""Why a condition is false, or failed, for one event: the smallest part that decided, and what it read.

An explanation is made when a person asks, never for every event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from fleet.cel.errors import EvaluationError
from fleet.cel.explanation import Explanation, Finding
from fleet.cel.nodes import (
    Comprehension,
    Conditional,
    Literal,
    Logic,
    Macro,
    Node,
    Unary,
    children_of,
    walk,
)
from fleet.cel.parts import Failed, Moment, values
from fleet.cel.values import type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fleet.cel.condition import Condition

_Found: TypeAlias = "Iterator[tuple[Node, Finding]]"


def explain(condition: Condition, attributes: Mapping[str, str], event: Mapping[str, Any]) -> Explanation:
    """Return why `condition` is what it is for one event; always the same for the same event.

    Args:
        condition: The condition.
        attributes: CloudEvents attributes by name, without the ``ce_`` prefix.
        event: The decoded event.
    """
    moment = Moment(condition.text, attributes, event, {})
    try:
        found = condition.matches(attributes, dict, event)
    except EvaluationError as error:
        return Explanation("error", _smallest_first(_failed(condition.tree, moment)), error.message)
    if found:
        return Explanation("true")
    return Explanation("false", _smallest_first(_why(condition.tree, moment, wanted=False)))


def _smallest_first(found: Iterable[tuple[Node, Finding]]) -> tuple[Finding, ...]:
    ordered = sorted(found, key=lambda each: (sum(1 for _ in walk(each[0])), each[0].at.start))
    return tuple(finding for _, finding in ordered)


def _why(node: Node, moment: Moment, *, wanted: bool) -> _Found:
    """Yield the smallest parts because of which `node` is as `wanted`, which it is."""
    match node:
        case Logic():
            for operand in node.operands:
                if moment.value(operand) is wanted:
                    yield from _why(operand, moment, wanted=wanted)
        case Unary(operator="!"):
            yield from _why(node.operand, moment, wanted=not wanted)
        case Conditional():
            test = moment.value(node.test) is True
            branch = node.then if test else node.otherwise
            if isinstance(branch, Literal):
                yield from _why(node.test, moment, wanted=test)
            else:
                yield from _why(branch, moment, wanted=wanted)
        case Macro():
            yield from _why_macro(node, moment, wanted=wanted)
        case _:
            yield node, _finding(node, moment)


def _why_macro(node: Macro, moment: Moment, *, wanted: bool) -> _Found:
    """Go on in the element that decided, where a single one did."""
    within = list(moment.each(node))
    found = values(node.predicate, within)
    one_decides = node.kind != "exists_one" and (wanted is (node.kind == "exists") or len(within) == 1)
    if one_decides and wanted in found:
        yield from _why(node.predicate, within[found.index(wanted)], wanted=wanted)
        return
    count = f"{len(found)} element{'' if len(found) == 1 else 's'}"
    note = f"{moment.quote(node.source)} has {count}, {found.count(True)} of them match"
    yield node, _finding(node, moment, note)


def _failed(node: Node, moment: Moment) -> _Found:
    """Yield the smallest parts of `node`, which failed, that failed themselves."""
    value = moment.value(node)
    match node:
        case Logic():
            parts = [part for part in node.operands if not isinstance(moment.value(part), bool)]
        case Conditional():
            test = moment.value(node.test)
            parts = [node.then if test else node.otherwise] if isinstance(test, bool) else [node.test]
        case Macro() | Comprehension():
            yield from _failed_loop(node, moment)
            return
        case _:
            parts = [part for part in children_of(node) if isinstance(moment.value(part), Failed)][:1]
    if not parts:
        yield node, _finding(node, moment, _reason(value))
    for part in parts:
        yield from _failed(part, moment)


def _failed_loop(node: Macro | Comprehension, moment: Moment) -> _Found:
    """Go on in the first element that failed, or in what the macro goes over."""
    if isinstance(moment.value(node.source), Failed):
        yield from _failed(node.source, moment)
        return
    within = list(moment.each(node))
    for part in children_of(node):
        if part is not node.source:
            decided = isinstance(node, Macro)
            for each, value in zip(within, values(part, within), strict=True):
                if isinstance(value, Failed) or (decided and not isinstance(value, bool)):
                    yield from _failed(part, each)
                    return
    yield node, _finding(node, moment, _reason(moment.value(node)))


def _finding(node: Node, moment: Moment, note: str = "") -> Finding:
    readings = {reading.path: reading for reading in moment.readings(node)}
    notes = [note, f"for {moment.element}" if moment.element else ""]
    text, (line, column) = moment.quote(node), moment.place(node)
    return Finding(text, line, column, tuple(readings.values()), ", ".join(filter(None, notes)))


def _reason(value: Any) -> str:
    if isinstance(value, Failed):
        return value.message
    return f"must be true or false, got {type_name(value)}"
