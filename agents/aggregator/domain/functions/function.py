"""What every aggregate function is: a state that grows with values, merges with others, and gives a result.

Results do not depend on how events were cut into chunks, nor on the order in which states are merged. States
are JSON values and never changed in place; null is the state of nothing.

Null arguments are left out, as in SQL. The other values of doubles that are no numbers count: infinities and
NaN are carried through sums as IEEE 754 says; in ``min``, ``max`` and ``quantiles`` NaN is above all numbers;
all NaNs are one value, and so are 0.0 and -0.0 (docs/adr/0014-aggregates-that-merge.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

from fleet.cel.nodes import Uint
from fleet.cel.types import Kind
from fleet.cel.values import type_name
from fleet.errors import PermanentError
from tables.aggregations.function import FunctionSpec
from tables.aggregations.results import argument_type, result_schema

State: TypeAlias = Any
"""A JSON value; None for nothing yet."""

_PYTHON: Final[dict[Kind, type]] = {
    Kind.BOOL: bool,
    Kind.INT: int,
    Kind.UINT: Uint,
    Kind.DOUBLE: float,
    Kind.DECIMAL: Decimal,
    Kind.STRING: str,
    Kind.BYTES: bytes,
    Kind.TIMESTAMP: datetime,
}


class At(NamedTuple):
    """When and where an event is, in the order that ``first``, ``last`` and ``collect`` go by.

    Attributes:
        time_ms: Event time, epoch milliseconds.
        topic: Source topic.
        partition: Source partition.
        offset: Offset in it.
    """

    time_ms: int
    topic: str
    partition: int
    offset: int


class RefusedValuesError(PermanentError):
    """Arguments are of a type that the function does not take; nothing of the call was counted.

    Args:
        field: Field of the result.
        refused: What is wrong with each refused value, by its place in the call.
    """

    def __init__(self, field: str, refused: dict[int, str]) -> None:
        super().__init__(f"{field}: {next(iter(refused.values()))}", reason="refused_argument")
        self.field = field
        self.refused = refused


class ResultTooLargeError(PermanentError):
    """A result has more digits than its schema can hold."""

    def __init__(self, field: str, digits: int) -> None:
        super().__init__(
            f"{field}: the result has more than {digits} digits",
            reason="result_too_large",
            hint="aggregate over shorter windows or finer groups",
        )


class Function(ABC):
    """One function of one definition.

    Args:
        spec: The function as a definition has it, with the type of its argument.

    Raises:
        AggregationError: The function does not take such an argument, or an expression does not parse.
    """

    positioned: ClassVar[bool] = False
    """Whether the places of events are needed as well."""

    def __init__(self, spec: FunctionSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.of = spec.compiled_of
        self.where = spec.compiled_where
        self.argument = argument_type(spec)
        taken = _PYTHON.get(self.argument.kind)
        self._allowed = frozenset({type(None)} if taken is None else {type(None), taken})

    def empty(self) -> State:
        """Return the state of no events."""
        return None

    def add(self, state: State, value: Any, at: At) -> State:
        """Return the state with one value more; see `add_all`."""
        return self.add_all(state, (value,), (at,))

    def add_all(self, state: State, values: Sequence[Any], ats: Sequence[At] = ()) -> State:
        """Return the state with more values, in any order; nulls are left out.

        Args:
            state: The state before.
            values: Values of the argument, as `fleet.cel` gives them.
            ats: Where each comes from; only a `positioned` function looks at it.

        Raises:
            RefusedValuesError: A value is of another type than the argument; says which.
        """
        kinds = set(map(type, values))
        if not kinds <= self._allowed:
            raise RefusedValuesError(self.name, self._refusals(values))
        if type(None) in kinds:
            kept = [place for place, value in enumerate(values) if value is not None]
            values = [values[place] for place in kept]
            ats = [ats[place] for place in kept] if self.positioned else ()
        return self.merge(state, self._state_of(values, ats)) if values else state

    def refusals(self, values: Sequence[Any]) -> dict[int, str]:
        """Return what is wrong with those values that `add_all` would refuse, by their place."""
        return {} if set(map(type, values)) <= self._allowed else self._refusals(values)

    def merge(self, one: State, other: State) -> State:
        """Return the state of the events of both."""
        if one is None or other is None:
            return one if other is None else other
        return self._merged(one, other)

    @abstractmethod
    def result(self, state: State) -> Any:
        """Return the result, of the type that `avro` says; None where nothing gives none.

        Raises:
            ResultTooLargeError: It has more digits than its schema can hold.
        """

    def avro(self) -> Any:
        """Return the Avro schema of the result, null left out."""
        return result_schema(self.spec, self.argument)

    @abstractmethod
    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        """Return the state of some values, at least one and none of them null."""

    @abstractmethod
    def _merged(self, one: State, other: State) -> State:
        """Return what `merge` does, for two states that hold something."""

    def _refusals(self, values: Sequence[Any]) -> dict[int, str]:
        return {
            place: f"expected {self.argument}, got {type_name(value)}"
            for place, value in enumerate(values)
            if type(value) not in self._allowed
        }
