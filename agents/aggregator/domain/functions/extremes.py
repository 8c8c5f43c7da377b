"""``min`` and ``max``: the state is the value as text."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from agents.aggregator.domain.functions.function import At, Function, State
from agents.aggregator.domain.functions.texts import text_of
from fleet.cel.types import Kind
from tables.aggregations.function import FunctionSpec


class _Extreme(Function):
    def __init__(self, spec: FunctionSpec) -> None:
        super().__init__(spec)
        self._write, self._read = text_of(self.argument.kind)
        self._is_double = self.argument.kind is Kind.DOUBLE

    def result(self, state: State) -> Any:
        """Return the value; None of nothing."""
        return None if state is None else self._read(state)

    @abstractmethod
    def _chosen(self, values: Sequence[Any]) -> Any:
        """Return the extreme of values that compare with each other."""

    @abstractmethod
    def _beside_nan(self, values: Sequence[Any]) -> Any:
        """Return the extreme of values of which one at least is NaN; `values` are the others."""

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        del ats
        # The sum is NaN if one of them is, and takes a fraction of the time of looking at each.
        if self._is_double and math.isnan(sum(values)):
            numbers = [value for value in values if not math.isnan(value)]
            if len(numbers) < len(values):
                return self._write(self._beside_nan(numbers))
        return self._write(self._chosen(values))

    def _merged(self, one: State, other: State) -> State:
        return self._state_of((self._read(one), self._read(other)), ())


class Min(_Extreme):
    """The least value; NaN only where there is nothing else."""

    def _chosen(self, values: Sequence[Any]) -> Any:
        return min(values)

    def _beside_nan(self, values: Sequence[Any]) -> Any:
        return min(values, default=math.nan)


class Max(_Extreme):
    """The greatest value; NaN is above all."""

    def _chosen(self, values: Sequence[Any]) -> Any:
        return max(values)

    def _beside_nan(self, values: Sequence[Any]) -> Any:
        del values
        return math.nan
