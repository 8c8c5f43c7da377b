"""Checks an expression against the type of the events that it will see, before it is saved.

What cannot be right for any event is refused; what may be right at run time, such as a field that may
be null or be of several types, passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet.cel.checker_functions import check_call
from fleet.cel.checker_hints import suggestion
from fleet.cel.checker_operators import (
    check_arithmetic,
    check_comparison,
    check_membership,
    check_negation,
    literal_type,
    refuse,
    require_bool,
)
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
    Select,
    Unary,
    Variable,
)
from fleet.cel.types import BOOL, DYN, NULL, STRING, Kind, Type, join, list_of, map_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_ARITHMETIC: Final = frozenset("+-*/%")
_ITERATED: Final = "exists(x, ...)"


def check(tree: Node, event_type: Type, elsewhere: Collection[str] = ()) -> Type:
    """Return the type of an expression over events of `event_type`.

    Args:
        tree: The expression.
        event_type: Type of the event, a record; ``dyn`` where nothing is known of it.
        elsewhere: Fields that other events have which the expression is evaluated for as well: has() is
            false for one that this event has not, and what that alone guards is not checked.

    Raises:
        ExpressionError: With line, column and what would be right.
    """
    return _Checker(event_type, elsewhere).type_of(tree)


def check_condition(tree: Node, event_type: Type, elsewhere: Collection[str] = ()) -> None:
    """Check an expression that must be true or false; for the arguments see `check`.

    Raises:
        ExpressionError: With line, column and what would be right.
    """
    found = check(tree, event_type, elsewhere)
    if found.kind not in {Kind.BOOL, Kind.DYN}:
        raise refuse(tree, f"the condition must be true or false, got {found}; compare it, e.g. with ==")


class _Checker:
    def __init__(self, event: Type, elsewhere: Collection[str]) -> None:
        self._event = event
        self._elsewhere = elsewhere
        self._slots: dict[int, Type] = {}

    def type_of(self, node: Node) -> Type:  # noqa: C901, PLR0911, PLR0912 - an arm per node, mypy checks all are there
        """Return the type of `node`, or refuse what is wrong in it."""
        match node:
            case Literal():
                return literal_type(node)
            case Variable():
                return self._slots[node.slot]
            case Attribute():
                return STRING
            case Field():
                return self._field(node, self._event, node.name)
            case Select():
                return self._field(node, self.type_of(node.operand), node.name)
            case Index():
                return self._index(node)
            case Has():
                return self._has(node)
            case Unary():
                return self._unary(node)
            case Binary():
                return self._binary(node)
            case Logic():
                return self._logic(node)
            case Conditional():
                return self._conditional(node)
            case ListOf():
                return list_of(self._common(node.items))
            case MapOf():
                return map_of(self._keys(node.keys), self._common(node.values))
            case Call():
                return check_call(node, tuple(map(self.type_of, node.arguments)))
            case Macro():
                return self._macro(node)
            case Comprehension():
                return self._comprehension(node)

    def _field(self, node: Node, owner: Type, name: str) -> Type:
        if owner.kind is Kind.DYN:
            return DYN
        if owner.kind is Kind.MAP:
            return owner.item or DYN
        if owner.record is None:
            raise refuse(node, f"no field {name!r}: {_fieldless(owner, name)}")
        found = owner.record.fields.get(name)
        if found is None:
            raise refuse(node, self._unknown(owner, name))
        return found

    def _unknown(self, owner: Type, name: str) -> str:
        assert owner.record is not None  # noqa: S101 - for mypy: only records have fields
        what = f"no field {name!r} in {owner.record.name}"
        if owner is self._event and name in self._elsewhere:
            return f"{what}, which the source covers too; write has(event.{name}) && ... before it"
        return f"{what}; {suggestion(name, owner.record.fields)}"

    def _index(self, node: Index) -> Type:
        owner, index = self.type_of(node.operand), self.type_of(node.index)
        match owner.kind:
            case Kind.LIST:
                allowed: tuple[Kind, ...] = (Kind.INT, Kind.UINT)
            case Kind.MAP:
                allowed = (owner.key.kind,) if owner.key and owner.key.kind is not Kind.DYN else tuple(Kind)
            case Kind.RECORD:
                allowed = (Kind.STRING,)
            case Kind.DYN:
                return DYN
            case _:
                raise refuse(node, f"{owner}[...]: only lists, maps and records have elements")
        if index.kind not in {*allowed, Kind.DYN}:
            raise refuse(node.index, f"{owner}[{index}]: give {allowed[0]}")
        return owner.item or DYN

    def _has(self, node: Has) -> Type:
        if self._constant(node) is None:
            self.type_of(node.path)
        return BOOL

    def _unary(self, node: Unary) -> Type:
        found = self.type_of(node.operand)
        if node.operator == "-":
            return check_negation(node.operand, found)
        require_bool(node.operand, found, "!")
        return BOOL

    def _binary(self, node: Binary) -> Type:
        left, right = self.type_of(node.left), self.type_of(node.right)
        if node.operator in _ARITHMETIC:
            return check_arithmetic(node, left, right)
        if node.operator == "in":
            check_membership(node, left, right)
        else:
            check_comparison(node, left, right)
        return BOOL

    def _logic(self, node: Logic) -> Type:
        if self._constant(node) is None:
            for operand in node.operands:
                require_bool(operand, self.type_of(operand), node.operator)
        return BOOL

    def _conditional(self, node: Conditional) -> Type:
        decided = self._constant(node.test)
        if decided is not None:
            return self.type_of(node.then if decided else node.otherwise)
        require_bool(node.test, self.type_of(node.test), "?:")
        return join(self.type_of(node.then), self.type_of(node.otherwise))

    def _common(self, nodes: Iterable[Node]) -> Type:
        """Return the type that all have in common; of nothing it is not known."""
        found: Type | None = None
        for node in nodes:
            this = self.type_of(node)
            found = this if found is None else join(found, this)
        return found or DYN

    def _keys(self, nodes: Iterable[Node]) -> Type:
        for node in nodes:
            found = self.type_of(node)
            if found.kind not in {Kind.STRING, Kind.INT, Kind.UINT, Kind.BOOL, Kind.DYN}:
                raise refuse(node, f"a map has no keys of type {found}; use string, int, uint or bool")
        return self._common(nodes)

    def _loop(self, node: Macro | Comprehension) -> Type:
        """Bind the element of a macro and return its type."""
        source = self.type_of(node.source)
        match source.kind:
            case Kind.LIST:
                found = source.item or DYN
            case Kind.MAP:
                found = source.key or DYN
            case Kind.RECORD:
                found = STRING
            case Kind.DYN:
                found = DYN
            case _:
                raise refuse(node.source, f"{_name(node)}() goes over a list or a map, got {source}")
        self._slots[node.slot] = found
        return found

    def _macro(self, node: Macro) -> Type:
        self._loop(node)
        require_bool(node.predicate, self.type_of(node.predicate), f"{node.kind}()")
        return BOOL

    def _comprehension(self, node: Comprehension) -> Type:
        element = self._loop(node)
        if node.predicate is not None:
            require_bool(node.predicate, self.type_of(node.predicate), f"{_name(node)}()")
        return list_of(element if node.transform is None else self.type_of(node.transform))

    def _constant(self, node: Node) -> bool | None:
        """Return what `node` is for every event of this type because of fields that only others have."""
        match node:
            case Has(path=Field(name=name)):
                fields = self._event.record.fields if self._event.record else None
                return (
                    False if fields is not None and name not in fields and name in self._elsewhere else None
                )
            case Unary(operator="!"):
                found = self._constant(node.operand)
                return None if found is None else not found
            case Logic():
                decides = node.operator == "||"
                constants = [self._constant(operand) for operand in node.operands]
                if decides in constants:
                    return decides
                return None if None in constants else not decides
            case _:
                return None


def _name(node: Macro | Comprehension) -> str:
    if isinstance(node, Macro):
        return node.kind
    return "filter" if node.transform is None else "map"


def _fieldless(owner: Type, name: str) -> str:
    if owner.kind is Kind.LIST:
        return f"{owner} is a list; write {_ITERATED.replace('...', f'x.{name} ...')} or [0].{name}"
    return "null has no fields" if owner == NULL else f"{owner} has no fields"
