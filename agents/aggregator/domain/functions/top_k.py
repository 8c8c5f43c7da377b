"""``top_k``: the most frequent values, exact for up to `COUNTERS` different ones.

Beyond, counters are those of the Misra-Gries summary (those of Space-Saving, seen from below). Merging adds
them up; where more than `COUNTERS` are left, the count of the first one too many is taken from all, and what
is not above zero is dropped. What was taken is kept as the error: a value that is given came between
``count`` and ``count + error`` times, one that has no counter at most ``error`` times. The error is never
more than n / (COUNTERS + 1) for n values, in every order of merges; the counts within it may then depend on
the order. P. Agarwal et al., "Mergeable Summaries", 2012, section 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import nlargest, nsmallest
from typing import Any, Final

from agents.aggregator.domain.functions.function import At, Function, State
from agents.aggregator.domain.functions.texts import text_of
from tables.aggregations.function import FunctionSpec

COUNTERS: Final = 1_000


class TopK(Function):
    """The most frequent values with their counts; the state is the error, and counts by value as text."""

    def __init__(self, spec: FunctionSpec) -> None:
        super().__init__(spec)
        self._write, self._read = text_of(self.argument.kind)

    def result(self, state: State) -> dict[str, Any]:
        """Return ``values``, each a ``value`` and its ``count``, most frequent first, and their ``error``."""
        error, counts = state or (0, {})
        most = nsmallest(self.spec.limit, counts.items(), key=_by_count)
        values = [{"value": self._read(text), "count": count} for text, count in most]
        return {"values": values, "error": error}

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        del ats
        counts: Counter[str] = Counter()
        # Values that are equal and written alike meet only as text.
        for value, count in Counter(values).items():
            counts[self._write(value)] += count
        return _bounded(0, counts)

    def _merged(self, one: State, other: State) -> State:
        counts = dict(one[1])
        for text, count in other[1].items():
            counts[text] = counts.get(text, 0) + count
        return _bounded(one[0] + other[0], counts)


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _bounded(error: int, counts: Mapping[str, int]) -> State:
    if len(counts) <= COUNTERS:
        return [error, dict(counts)]
    taken = nlargest(COUNTERS + 1, counts.values())[-1]
    return [error + taken, {text: count - taken for text, count in counts.items() if count > taken}]
