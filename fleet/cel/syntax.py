"""From the parse tree of an expression to checked nodes.

Everything that the compiler cannot run is refused here, by position and in words, so
that a rule is either saved whole or not at all. Sizes are bounded for the same reason:
an expression runs on every event of its source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, cast

from lark import Token, Tree

from fleet.cel.calls import MACROS, require_count, require_function
from fleet.cel.errors import refused
from fleet.cel.grammar import parse_tree
from fleet.cel.literals import INT_MIN, literal, negated, position_of
from fleet.cel.nodes import (
    Attribute,
    Binary,
    Call,
    Comprehension,
    Conditional,
    Field,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
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
_CONSTRUCTS: Final = {
    "member_object": "message literals are",
    "dot_ident": "a leading dot is",
    "dot_ident_arg": "a leading dot is",
}


def parse(text: str) -> Node:
    """Return the checked tree of an expression.

    Args:
        text: CEL over ``event.<field>`` and ``attributes.<name>``, within the supported part.

    Raises:
        ExpressionError: With line, column and reason.
    """
    if len(text) > MAX_CHARACTERS:
        raise refused(f"too long: at most {MAX_CHARACTERS} characters are allowed", 1, MAX_CHARACTERS + 1)
    return _Lowering().node(parse_tree(text), {}, 0)


def _position(tree: Parsed) -> Position:
    meta = tree.meta
    return Position(meta.line, meta.column, meta.start_pos, meta.end_pos)


def _inner(tree: Parsed) -> Parsed:
    """Skip the levels of precedence that hold nothing but one child."""
    while len(tree.children) == 1 and tree.data not in {
        "literal",
        "ident",
        "list_lit",
        "map_lit",
        "ident_arg",
        *_CONSTRUCTS,
    }:
        tree = cast("Parsed", tree.children[0])
    return tree


class _Lowering:
    """One pass over one parse tree; counts the slots that its macros use, and the macros around it."""

    def __init__(self) -> None:
        self._slots = 0
        self._loops = 0

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
            case "map_lit":
                parts = tuple(self.node(item, scope, depth) for item in _arguments(tree))
                return MapOf(at, parts[::2], parts[1::2])
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
        name, at = _called(tree)
        arguments = _arguments(tree)
        if method and name in MACROS:
            return self._loop(name, tree, scope, depth)
        if not method and name == "has":
            return self._has(at, arguments, scope, depth)
        require_function(name, len(arguments), at, method=method)
        owner = [cast("Parsed", tree.children[0])] if method else []
        return Call(at, name, tuple(self.node(part, scope, depth) for part in (*owner, *arguments)))

    def _has(self, at: Position, arguments: list[Parsed], scope: Mapping[str, int], depth: int) -> Has:
        require_count("has", 1, 1, len(arguments), at)
        tree = _inner(arguments[0])
        path = self.node(tree, scope, depth) if _root(tree, scope) is None else None
        if not isinstance(path, Attribute | Field | Select):
            raise refused("has() takes a field, e.g. has(event.claim_id)", *_start(tree))
        return Has(at, path)

    def _loop(self, kind: str, tree: Parsed, scope: Mapping[str, int], depth: int) -> Macro | Comprehension:
        _, at = _called(tree)
        arguments = _arguments(tree)
        require_count(kind, *MACROS[kind], len(arguments), at)
        name = _element(kind, arguments[0])
        if self._loops >= MAX_MACRO_DEPTH:
            raise refused(f"at most {MAX_MACRO_DEPTH} macros may be nested", at.line, at.column)
        source = self.node(cast("Parsed", tree.children[0]), scope, depth)
        self._slots += 1
        self._loops += 1
        slot = self._slots
        first, *rest = (self.node(part, {**scope, name: slot}, depth) for part in arguments[1:])
        self._loops -= 1
        if kind == "filter":
            return Comprehension(at, source, slot, first, None)
        if kind == "map":
            return Comprehension(at, source, slot, first if rest else None, rest[0] if rest else first)
        return Macro(at, kind, source, slot, first)


def _called(tree: Parsed) -> tuple[str, Position]:
    """Return the name of a call and where it is: line and column of the name, start and end of the whole."""
    token = cast("Token", tree.children[1 if tree.data == "member_dot_arg" else 0])
    whole = _position(tree)
    return str(token), Position(token.line or 1, token.column or 1, whole.start, whole.end)


def _element(kind: str, tree: Parsed) -> str:
    """Return the name that a macro gives to each element."""
    tree = _inner(tree)
    name = str(tree.children[0]) if tree.data == "ident" else "event"
    if name in {"event", "attributes"}:
        raise refused(f"the first argument of {kind}() names the element, e.g. x", *_start(tree))
    return name


def _name(token: Token, scope: Mapping[str, int]) -> Variable:
    name, at = str(token), position_of(token)
    line, column = at.line, at.column
    if name in scope:
        return Variable(at, scope[name])
    if name in {"event", "attributes"}:
        example = {"event": "event.claim_id", "attributes": "attributes.type"}[name]
        raise refused(f"{name!r} alone is not supported; name a field of it, e.g. {example}", line, column)
    raise refused(f"unknown name {name!r}; known: event, attributes", line, column)


def _root(tree: Parsed, scope: Mapping[str, int]) -> str | None:
    """Return ``event`` or ``attributes`` if that is all that `tree` says, else None."""
    tree = _inner(tree)
    name = str(tree.children[0]) if tree.data == "ident" else ""
    return name if name in {"event", "attributes"} and name not in scope else None


def _arguments(tree: Parsed) -> list[Parsed]:
    last = tree.children[-1] if tree.children else None
    listed = isinstance(last, Tree) and last.data in {"exprlist", "mapinits"}
    return cast("list[Parsed]", cast("Parsed", last).children) if listed else []


def _start(tree: Parsed) -> tuple[int, int]:
    return tree.meta.line, tree.meta.column


def _at(node: Node) -> tuple[int, int]:
    return node.at.line, node.at.column
