"""``first``, ``last`` and ``collect``: by event time, then topic, partition and offset."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from typing import Any

from agents.aggregator.domain.functions.function import At, Function, State
from agents.aggregator.domain.functions.texts import text_of
from tables.aggregations.function import FunctionSpec


class _Placed(Function):
    """An entry of a state is time, topic, partition, offset and the value as text; so entries sort."""

    positioned = True

    def __init__(self, spec: FunctionSpec) -> None:
        super().__init__(spec)
        self._write, self._read = text_of(self.argument.kind)


class First(_Placed):
    """The value of the first event."""

    def result(self, state: State) -> Any:
        """Return the value; None of nothing."""
        return None if state is None else self._read(state[-1])

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        place = min(range(len(values)), key=ats.__getitem__)
        return [*ats[place], self._write(values[place])]

    def _merged(self, one: State, other: State) -> State:
        return min(one, other)


class Last(First):
    """The value of the last event."""

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        place = max(range(len(values)), key=ats.__getitem__)
        return [*ats[place], self._write(values[place])]

    def _merged(self, one: State, other: State) -> State:
        return max(one, other)


class Collect(_Placed):
    """The first values in order, and how many came after them.

    The state is how many were dropped, and the entries that were kept.
    """

    def result(self, state: State) -> dict[str, Any]:
        """Return ``values`` in order, and how many more were ``dropped``: 0 where they are all."""
        dropped, kept = state or (0, ())
        return {"values": [self._read(entry[-1]) for entry in kept], "dropped": dropped}

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        places = nsmallest(self.spec.limit, range(len(values)), key=ats.__getitem__)
        kept = [[*ats[place], self._write(values[place])] for place in places]
        return [len(values) - len(kept), kept]

    def _merged(self, one: State, other: State) -> State:
        entries = sorted(one[1] + other[1])
        kept = entries[: self.spec.limit]
        return [one[0] + other[0] + len(entries) - len(kept), kept]
