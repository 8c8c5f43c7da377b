"""Compile the checked tree of an expression to one Python function.

The generated source holds names of our own only: every constant and every name that a
person wrote is bound as a value (``k0``, ``k1``, ...), so no text of a rule is ever
executed. Generated source was chosen over composed closures by measurement: 0.14 against
0.20 µs for two comparisons joined by &&, because comparing a field with a constant costs
two type checks and no call.

``&&`` and ``||`` are commutative (language definition, "Logical Operators"): a false
operand decides a conjunction even when an operand before it failed. What is kept of a
failure is its message: the error itself would tie its frame into a reference cycle.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from fleet.cel import arithmetic, loops, operations
from fleet.cel.constants import folded, prepared
from fleet.cel.functions import FUNCTIONS
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
from fleet.cel.values import settled
from fleet.cel.writer import Value, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    Compiled: TypeAlias = Callable[..., Any]

_COMPARISONS: Final = {
    "==": operations.equals,
    "!=": operations.differs,
    "<": operations.less,
    "<=": operations.less_or_equal,
    ">": operations.greater,
    ">=": operations.greater_or_equal,
}
_ARITHMETIC: Final = {
    "+": arithmetic.add,
    "-": arithmetic.subtract,
    "*": arithmetic.multiply,
    "/": arithmetic.divide,
    "%": arithmetic.remainder,
}
_FLIPPED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def compile_node(node: Node, *, settle: bool = False) -> Compiled:
    """Return ``function(attributes, fields, event)`` that computes `node`.

    `fields` is called only when the value of a field decides and `event` is None, so an event that
    its attributes already rule out is never decoded. Whatever `fields` raises passes through.

    Args:
        node: The checked tree.
        settle: Whether the result is made the language's value, with all that it holds: a field that
            the expression hands on as it is may be decoded as a type that the language does not have.

    Raises:
        ExpressionError: The expression nests too many blocks, or holds a constant that is none.
    """
    emitter = Emitter()
    result = emitter.value(node)
    if settle and result.kind in {None, list, dict}:
        result = emitter.apply(settled, result.code)
    lines = [
        "def expression(attributes, fields, event=None):",
        *emitter.body,
        f"    return {result.code}",
    ]
    namespace = emitter.namespace
    exec(compile("\n".join(lines), "<expression>", "exec"), namespace)  # noqa: S102 - our own source, see above
    return cast("Compiled", namespace["expression"])


class Emitter(Writer):
    """Writes statements; each node leaves its value in a local of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: list[int] = []  # of the loops around, innermost last

    def value(self, node: Node) -> Value:  # noqa: C901, PLR0911, PLR0912 - an arm per node, mypy checks all are there
        """Write what computes `node` and return where its value is."""
        match node:
            case Literal():
                return Value(self.bind(node.value), type(node.value))
            case Variable():
                return Value(f"v{node.slot}")
            case Attribute():
                return Value(self._lookup("attributes", node.name), str)
            case Field():
                self._decode()
                return Value(self._lookup("event", node.name))
            case Select():
                return self._select(node)
            case Index():
                return self.apply(
                    operations.index, self.value(node.operand).code, self.value(node.index).code
                )
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
                return self._list(node)
            case MapOf():
                entries = zip(node.keys, node.values, strict=True)
                parts = [self.value(part).code for entry in entries for part in entry]
                return self.apply(operations.map_of, *parts, kind=dict)
            case Call():
                return self._call(node)
            case Macro():
                return loops.macro(self, node)
            case Comprehension():
                return loops.comprehension(self, node)

    def _decode(self) -> None:
        self.write("if event is None: event = fields()")

    def _lookup(self, mapping: str, name: str) -> str:
        key, found = self.bind(name), self.local()
        self.write(f"try: {found} = {mapping}[{key}]")
        self.write(f"except KeyError: raise no_field({key}) from None")
        return found

    def _call(self, node: Call) -> Value:
        constant = folded(node)
        if isinstance(constant, Literal):
            return self.value(constant)
        function = FUNCTIONS[node.function]
        arguments = []
        for part, made in zip(node.arguments, prepared(node), strict=True):
            value = self.value(part) if made is None else Value(self.bind(made), bool)
            arguments.append(value.code)
            if function.linear:
                loops.charge(self, part, value)
        found = self.apply(function.implementation, *arguments, kind=function.kind)
        if function.linear:
            loops.charge_made(self, found)
        return found

    def _select(self, node: Select) -> Value:
        owner, name = self.value(node.operand).code, self.bind(node.name)
        slow = f"{self.bind(operations.select)}({owner}, {name})"
        return self.assign(f"{owner}[{name}] if type({owner}) is dict and {name} in {owner} else {slow}")

    def _has(self, node: Has) -> Value:
        path = node.path
        if isinstance(path, Attribute):
            return self.assign(f"{self.bind(path.name)} in attributes", bool)
        if isinstance(path, Field):
            self._decode()
            return self.assign(f"{self.bind(path.name)} in event", bool)
        found = self.local()
        with self.block(node, "try:"):
            owner = self.value(path.operand).code
            self.write(f"{found} = type({owner}) is dict and {self.bind(path.name)} in {owner}")
        self.write(f"except Failure: {found} = False")
        return Value(found, bool)

    def _unary(self, node: Unary) -> Value:
        operand = self.value(node.operand)
        if node.operator == "-":
            return self.apply(arithmetic.negate, operand.code)
        self.require_bool(operand, "!")
        return self.assign(f"not {operand.code}", bool)

    def _binary(self, node: Binary) -> Value:
        left, right = folded(node.left), folded(node.right)
        if node.operator == "in":
            return self._membership(left, right)
        if node.operator in _ARITHMETIC:
            one, two = self.value(left), self.value(right)
            first, second = self._beside(left, one, two), self._beside(right, two, one)
            found = self.apply(_ARITHMETIC[node.operator], first, second)
            if node.operator == "+":
                loops.charge_made(self, found)
            return found
        if isinstance(left, Literal) and not isinstance(right, Literal):
            return self._compare(_FLIPPED[node.operator], right, left)
        return self._compare(node.operator, left, right)

    def _beside(self, node: Node, value: Value, other: Value) -> str:
        """A double literal counts as written, not as its nearest double, beside a decimal."""
        if not (isinstance(node, Literal) and value.kind is float and node.decimal is not None):
            return value.code
        return f"({self.bind(node.decimal)} if type({other.code}) is Decimal else {value.code})"

    def _compare(self, operator: str, left: Node, right: Node) -> Value:
        one, two = self.value(left), self.value(right)
        slow = f"{self.bind(_COMPARISONS[operator])}({self._beside(left, one, two)}, {two.code})"
        if not isinstance(right, Literal):
            if self.slots and not loops.is_own(self, right):
                loops.charge(self, left, one)
            return self.assign(slow, bool)
        fast = f"{one.code} {operator} {two.code}"
        if right.value is None:
            return self.assign(slow, bool)
        if one.kind is two.kind:
            return self.assign(fast, bool)
        if two.kind is datetime:  # a decoded one may be without a zone
            return self.assign(slow, bool)
        if right.decimal is None:
            kind = self.bind(two.kind)
            return self.assign(f"{fast} if type({one.code}) is {kind} else {slow}", bool)
        kind, exact = self.bind(two.kind), self.bind(right.decimal)
        exactly = f"{one.code} {operator} {exact} if kind is Decimal"
        self.write(f"kind = type({one.code})")
        return self.assign(f"{exactly} else {fast} if kind is {kind} else {slow}", bool)

    def _membership(self, item: Node, container: Node) -> Value:
        one = self.value(item)
        parts = [folded(part) for part in container.items] if isinstance(container, ListOf) else None
        if parts is None or not all(isinstance(part, Literal) for part in parts):
            two = self.value(container)
            loops.charge(self, container, two)
            return self.apply(operations.contains, two.code, one.code, kind=bool)
        literals = cast("list[Literal]", parts)
        values = [part.value for part in literals]
        exact = [
            part.value if part.decimal is None or type(part.value) is not float else part.decimal
            for part in literals
        ]
        choice = f"{self.bind(exact)} if type({one.code}) is Decimal else {self.bind(values)}"
        slow = f"{self.bind(operations.contains)}({choice}, {one.code})"
        if not all(type(value) is str for value in values):
            return self.assign(slow, bool)
        fast = f"{one.code} in {self.bind(frozenset(values))}"
        return self.assign(
            fast if one.kind is str else f"{fast} if type({one.code}) is str else {slow}", bool
        )

    def _logic(self, node: Logic) -> Value:
        """Sequential, not nested: each operand runs only while nothing has decided yet."""
        found, pending = self.local(), self.local()
        neutral = "True" if node.operator == "&&" else "False"
        undecided = found if neutral == "True" else f"not {found}"
        self.write(f"{found} = {neutral}; {pending} = None")
        for place, operand in enumerate(node.operands):
            with self.under("if True:" if place == 0 else f"if {undecided}:"):
                with self.block(operand, "try:"):
                    value = self.value(operand)
                    self.require_bool(value, node.operator)
                    self.write(f"{found} = {value.code}")
                self.write(f"except Failure as error: {pending} = error.message")
        self.write(f"if {pending} is not None and {undecided}: raise Failure({pending})")
        return Value(found, bool)

    def _conditional(self, node: Conditional) -> Value:
        test, found = self.value(node.test), self.local()
        self.require_bool(test, "?:")
        with self.under(f"if {test.code}:"):
            then = self.value(node.then)
            self.write(f"{found} = {then.code}")
        with self.under("else:"):
            otherwise = self.value(node.otherwise)
            self.write(f"{found} = {otherwise.code}")
        return Value(found, then.kind if then.kind is otherwise.kind else None)

    def _list(self, node: ListOf) -> Value:
        items = ", ".join(self.value(item).code for item in node.items)
        return self.assign(f"[{items}]", list)
