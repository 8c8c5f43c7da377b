"""``count``, ``sum``, ``avg`` and ``variance``: exact to the last step, which rounds once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from agents.aggregator.domain.functions.exact import ARITHMETIC, nearest_double
from agents.aggregator.domain.functions.function import At, Function, ResultTooLargeError, State
from agents.aggregator.domain.functions.texts import EXACT
from fleet.cel.types import Kind
from tables.aggregations.function import FunctionName, FunctionSpec
from tables.aggregations.results import average_scale
from tables.routes.schemas import MAX_PRECISION


class Count(Function):
    """How many events, or how many arguments that are not null; the state is that number."""

    def add_all(self, state: State, values: Sequence[Any], ats: Sequence[At] = ()) -> State:
        """Return the state with more events; an argument may be of any type."""
        del ats
        added = len(values) if self.of is None else len(values) - list(map(type, values)).count(type(None))
        return (state or 0) + added

    def refusals(self, values: Sequence[Any]) -> dict[int, str]:
        """Return nothing: an argument may be of any type."""
        del values
        return {}

    def result(self, state: State) -> int:
        """Return the number; of nothing it is 0."""
        return state or 0

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        del ats
        return len(values)

    def _merged(self, one: State, other: State) -> State:
        return one + other


class _Exact(Function):
    def __init__(self, spec: FunctionSpec) -> None:
        super().__init__(spec)
        self._arithmetic = ARITHMETIC[self.argument.kind]

    def _decimal(self, number: Fraction, scale: int) -> Decimal:
        # round() takes a tie to the even neighbour.
        digits = round(number * 10**scale)
        if abs(digits) >= 10**MAX_PRECISION:
            raise ResultTooLargeError(self.name, MAX_PRECISION)
        return Decimal(digits).scaleb(-scale, EXACT)


class Sum(_Exact):
    """The sum; of whole numbers and decimals exact, of doubles the one nearest to the exact sum."""

    def result(self, state: State) -> Decimal | float | None:
        """Return the sum, a decimal but for doubles; None of nothing."""
        if state is None:
            return None
        total = self._arithmetic.ratio(state)
        if isinstance(total, Fraction) and self.argument.kind is not Kind.DOUBLE:
            return self._decimal(total, self.argument.scale or 0)
        return nearest_double(total)

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        del ats
        return self._arithmetic.total(values)

    def _merged(self, one: State, other: State) -> State:
        return self._arithmetic.plus(one, other)


class Avg(_Exact):
    """The mean, rounded once; the state is the number of values and their exact sum."""

    def result(self, state: State) -> Decimal | float | None:
        """Return the mean, of decimals a decimal, else a double; None of nothing."""
        if state is None:
            return None
        count, total = state[0], self._arithmetic.ratio(state[1])
        if not isinstance(total, Fraction):
            return total
        if self.argument.kind is Kind.DECIMAL:
            return self._decimal(total / count, average_scale(self.argument))
        return nearest_double(total / count)

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        del ats
        return [len(values), self._arithmetic.total(values)]

    def _merged(self, one: State, other: State) -> State:
        return [one[0] + other[0], self._arithmetic.plus(one[1], other[1])]


class Variance(_Exact):
    """The variance of a sample or of a population, the double nearest to the exact one.

    The state is the number of values, their exact sum and the exact sum of their squares.
    """

    def result(self, state: State) -> float | None:
        """Return the variance; None of too few values, NaN where one is not finite."""
        sample = self.spec.function is FunctionName.VARIANCE
        if state is None or state[0] <= sample:
            return None
        count, total, squares = state[0], *map(self._arithmetic.ratio, state[1:])
        if not (isinstance(total, Fraction) and isinstance(squares, Fraction)):
            return math.nan
        return nearest_double((squares - total * total / count) / (count - sample))

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        del ats
        return [len(values), self._arithmetic.total(values), self._arithmetic.squares(values)]

    def _merged(self, one: State, other: State) -> State:
        plus = self._arithmetic.plus
        return [one[0] + other[0], plus(one[1], other[1]), plus(one[2], other[2])]
