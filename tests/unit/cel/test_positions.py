"""Where nodes are in the text of an expression, for messages that quote it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from fleet.cel.nodes import Node
from fleet.cel.syntax import parse

if TYPE_CHECKING:
    from collections.abc import Iterator


def _texts(text: str) -> list[str]:
    return [text[node.at.start : node.at.end] for node in _walk(parse(text))]


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for part in fields(node):
        child = getattr(node, part.name)
        for item in child if isinstance(child, tuple) else (child,):
            if isinstance(item, Node):
                yield from _walk(item)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("event.a  > 1000", ["event.a  > 1000", "event.a", "1000"]),
        ("!( event.a )", ["!( event.a )", "event.a"]),
        ("true && false", ["true && false", "true", "false"]),
        (
            "(true ? (1) : -2.5) == 1",
            ["(true ? (1) : -2.5) == 1", "true ? (1) : -2.5", *("true", "1", "-2.5", "1")],
        ),
        ("event.a in [ ]", ["event.a in [ ]", "event.a", "[ ]"]),
        ('event.a["b"][0].c', ['event.a["b"][0].c', 'event.a["b"][0]', 'event.a["b"]', "event.a", "0"]),
        (
            "event.a.exists(x,\n x == 'é')",
            ["event.a.exists(x,\n x == 'é')", "event.a", "x == 'é'", "x", "'é'"],
        ),
        ("size( event.a ) == 1", ["size( event.a ) == 1", "size( event.a )", "event.a", "1"]),
        ("has(event.a.b)", ["has(event.a.b)", "event.a.b", "event.a"]),
    ],
)
def test_each_node_knows_its_text_as_written(text: str, parts: list[str]) -> None:
    """What is quoted to a person is what they wrote, without parentheses around it."""
    assert _texts(text) == parts


def test_truth_values_have_positions_of_their_own() -> None:
    """A message about ``true`` points at it, not at the beginning."""
    node = parse("event.a ==\n  true")

    assert (node.right.at.line, node.right.at.column) == (2, 3)  # type: ignore[union-attr]
