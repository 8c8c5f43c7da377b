"""From the parse tree of a condition to checked nodes.

Everything that the compiler cannot run is refused here, by position and in words, so
that a rule is either saved whole or not at all. Sizes are bounded for the same reason:
a condition runs on every event of its source.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from lark import Token, Tree

from fleet.cel.errors import refused
from fleet.cel.grammar import parse_tree
from fleet.cel.literals import INT_MIN, literal, negated, position_of
from fleet.cel.nodes import (
    Attribute,
    Binary,
    Call,
    Conditional,
    Field,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    Node,
    Position,
    Select,
    Unary,
    Variable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Parsed: TypeAlias = Tree[Token]

MAX_CHARACTERS: Final = 4000
MAX_DEPTH: Final = 32
MAX_MACRO_DEPTH: Final = 3
METHODS: Final = {"startsWith": 1, "endsWith": 1, "contains": 1, "size": 0}
MACROS: Final = frozenset({"exists", "all"})
OPERATORS: Final = {
    "relation_lt": "<",
    "relation_le": "<=",
    "relation_gt": ">",
    "relation_ge": ">=",
    "relation_eq": "==",
    "relation_ne": "!=",
    "relation_in": "in",
    "addition_add": "+",
    "addition_sub": "-",
    "multiplication_mul": "*",
    "multiplication_div": "/",
    "multiplication_mod": "%",
}
_LOGIC: Final = {"conditionalor": "||", "conditionaland": "&&"}
_SUPPORTED: Final = "has, size, startsWith, endsWith, contains, exists, all"
_CONSTRUCTS: Final = {
    "map_lit": "map literals are",
    "member_object": "message literals are",
    "dot_ident": "a leading dot is",
    "dot_ident_arg": "a leading dot is",
}


def parse(text: str) -> Node:
    """Return the checked tree of a condition.

    Args:
        text: CEL over ``event.<field>`` and ``attributes.<name>``, within the supported part.

    Raises:
        ExpressionError: With line, column and reason.
    """
    if len(text) > MAX_CHARACTERS:
        raise refused(f"too long: at most {MAX_CHARACTERS} characters are allowed", 1, MAX_CHARACTERS + 1)
    return _Lowering().node(parse_tree(text), {}, 0)


def _position(tree: Parsed) -> Position:
    return Position(tree.meta.line, tree.meta.column, tree.meta.start_pos, tree.meta.end_pos)


def _inner(tree: Parsed) -> Parsed:
    """Skip the levels of precedence that hold nothing but one child."""
    while len(tree.children) == 1 and tree.data not in {
        "literal",
        "ident",
        "list_lit",
        "ident_arg",
        *_CONSTRUCTS,
    }:
        tree = cast("Parsed", tree.children[0])
    return tree


class _Lowering:
    """One pass over one parse tree; counts the slots that its macros use."""

    def __init__(self) -> None:
        self._slots = 0

    def node(self, tree: Parsed, scope: Mapping[str, int], depth: int) -> Node:
        tree = _inner(tree)
        at = _position(tree)
        if depth > MAX_DEPTH:
            raise refused(f"nested deeper than {MAX_DEPTH} levels; split the rule", at.line, at.column)
        name = str(tree.data)
        if name in _CONSTRUCTS:
            raise refused(f"{_CONSTRUCTS[name]} not supported", at.line, at.column)
        if name == "literal":
            return literal(cast("Token", tree.children[0]))
        if name == "ident":
            return _name(cast("Token", tree.children[0]), scope)
        if name in _LOGIC:
            return self._logic(tree, scope, depth)
        return self._compound(name, tree, scope, depth + 1)

    def _compound(self, name: str, tree: Parsed, scope: Mapping[str, int], depth: int) -> Node:
        at = _position(tree)
        structural = {
            "member_dot": self._member,
            "member_index": self._index,
            "member_dot_arg": self._call,
            "ident_arg": self._call,
            "unary": self._unary,
        }
        if name in structural:
            return structural[name](tree, scope, depth)
        match name:
            case "list_lit":
                return ListOf(at, tuple(self.node(item, scope, depth) for item in _arguments(tree)))
            case "expr":
                test, then, otherwise = (
                    self.node(cast("Parsed", part), scope, depth) for part in tree.children
                )
                return Conditional(at, test, then, otherwise)
            case _:
                operator, right = cast("list[Parsed]", tree.children)
                left = self.node(cast("Parsed", operator.children[0]), scope, depth)
                return Binary(at, OPERATORS[str(operator.data)], left, self.node(right, scope, depth))

    def _logic(self, tree: Parsed, scope: Mapping[str, int], depth: int) -> Logic:
        """Flatten a chain: the grammar nests it to the left, one level for each operand."""
        name, at = tree.data, _position(tree)
        parts: list[Parsed] = []
        while tree.data == name and len(tree.children) > 1:
            first, last = cast("list[Parsed]", tree.children)
            parts.append(last)
            tree = _inner(first) if first.data != name else first
        parts.append(tree)
        operands = tuple(self.node(part, scope, depth + 1) for part in reversed(parts))
        return Logic(at, _LOGIC[str(name)], operands)

    def _member(self, tree: Parsed, scope: Mapping[str, int], depth: int) -> Node:
        owner, token = cast("tuple[Parsed, Token]", tuple(tree.children))
        return self._select(_position(tree), owner, str(token), scope, depth)

    def _select(self, at: Position, owner: Parsed, name: str, scope: Mapping[str, int], depth: int) -> Node:
        root = _root(owner, scope)
        if root == "event":
            return Field(at, name)
        if root == "attributes":
            return Attribute(at, name)
        return Select(at, self.node(owner, scope, depth), name)

    def _index(self, tree: Parsed, scope: Mapping[str, int], depth: int) -> Node:
        owner, inner = cast("list[Parsed]", tree.children)
        at, index = _position(tree), self.node(inner, scope, depth)
        root = _root(owner, scope)
        if isinstance(index, Literal) and isinstance(index.value, str):
            return self._select(at, owner, index.value, scope, depth)
        if root in {"event", "attributes"}:
            raise refused(f'write the name in {root}[...] as a string, e.g. {root}["id"]', *_at(index))
        return Index(at, self.node(owner, scope, depth), index)

    def _unary(self, tree: Parsed, scope: Mapping[str, int], depth: int) -> Node:
        sign, inner = cast("list[Parsed]", tree.children)
        at, operand = _position(tree), self.node(inner, scope, depth)
        if sign.data == "unary_not":
            return Unary(at, "!", operand)
        if isinstance(operand, Literal) and type(operand.value) in {int, float} and operand.value != INT_MIN:
            return negated(operand, at)
        return Unary(at, "-", operand)

    def _call(self, tree: Parsed, scope: Mapping[str, int], depth: int) -> Node:
        method = tree.data == "member_dot_arg"
        token = cast("Token", tree.children[1 if method else 0])
        name, at = str(token), replace(position_of(token), start=tree.meta.start_pos, end=tree.meta.end_pos)
        arguments = _arguments(tree)
        if method and name in MACROS:
            return self._macro(at, name, tree, scope, depth)
        if not method and name == "has":
            return self._has(at, arguments, scope, depth)
        if name not in (METHODS if method else {"size"}):
            what = "method" if method else "function"
            raise refused(f"{what} {name!r} is not supported; supported: {_SUPPORTED}", at.line, at.column)
        wanted = METHODS[name] if method else 1
        _count(name, wanted, arguments, at)
        owner = [cast("Parsed", tree.children[0])] if method else []
        return Call(at, name, tuple(self.node(part, scope, depth) for part in (*owner, *arguments)))

    def _has(self, at: Position, arguments: list[Parsed], scope: Mapping[str, int], depth: int) -> Has:
        _count("has", 1, arguments, at)
        tree = _inner(arguments[0])
        path = self.node(tree, scope, depth) if _root(tree, scope) is None else None
        if not isinstance(path, Attribute | Field | Select):
            raise refused("has() takes a field, e.g. has(event.claim_id)", *_start(tree))
        return Has(at, path)

    def _macro(self, at: Position, kind: str, tree: Parsed, scope: Mapping[str, int], depth: int) -> Macro:
        arguments = _arguments(tree)
        _count(kind, 2, arguments, at)
        variable = _inner(arguments[0])
        name = str(variable.children[0]) if variable.data == "ident" else "event"
        if name in {"event", "attributes"}:
            raise refused(f"the first argument of {kind}() names the element, e.g. x", *_start(variable))
        if len(scope) >= MAX_MACRO_DEPTH:
            raise refused(f"at most {MAX_MACRO_DEPTH} macros may be nested", at.line, at.column)
        source = self.node(cast("Parsed", tree.children[0]), scope, depth)
        self._slots += 1
        slot = self._slots
        return Macro(at, kind, source, slot, self.node(arguments[1], {**scope, name: slot}, depth))


def _name(token: Token, scope: Mapping[str, int]) -> Variable:
    name, at = str(token), position_of(token)
    if name in scope:
        return Variable(at, scope[name])
    if name in {"event", "attributes"}:
        example = {"event": "event.claim_id", "attributes": "attributes.type"}[name]
        raise refused(
            f"{name!r} alone is not supported; name a field of it, e.g. {example}", at.line, at.column
        )
    raise refused(f"unknown name {name!r}; known: event, attributes", at.line, at.column)


def _root(tree: Parsed, scope: Mapping[str, int]) -> str | None:
    """Return ``event`` or ``attributes`` if that is all that `tree` says, else None."""
    tree = _inner(tree)
    name = str(tree.children[0]) if tree.data == "ident" else ""
    return name if name in {"event", "attributes"} and name not in scope else None


def _arguments(tree: Parsed) -> list[Parsed]:
    last = tree.children[-1] if tree.children else None
    listed = isinstance(last, Tree) and last.data == "exprlist"
    return cast("list[Parsed]", cast("Parsed", last).children) if listed else []


def _count(name: str, wanted: int, arguments: list[Parsed], at: Position) -> None:
    if len(arguments) != wanted:
        raise refused(f"{name}() takes {wanted} argument(s), got {len(arguments)}", at.line, at.column)


def _start(tree: Parsed) -> tuple[int, int]:
    return tree.meta.line, tree.meta.column


def _at(node: Node) -> tuple[int, int]:
    return node.at.line, node.at.column
