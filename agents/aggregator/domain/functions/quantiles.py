"""``quantiles``: DDSketch, within 1 % of the value that is asked for.

C. Masson, J. Rim, H. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
Guarantees", 2019: https://arxiv.org/abs/1908.10693. Buckets grow by the same factor, so each holds numbers
within 1 % of its middle. `MAX_BUCKETS` for either sign reach over 17 powers of ten even where each has a
number; beyond, numbers nearest to zero share a bucket. A state depends on the numbers alone, so no order of
merges changes a quantile: the largest buckets of a part are never below those of the whole.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from agents.aggregator.domain.functions.function import At, Function, State
from fleet.cel.types import Kind
from tables.aggregations.function import FunctionSpec
from tables.aggregations.results import quantile_names

RELATIVE_ERROR: Final = 0.01
MAX_BUCKETS: Final = 2_048

_LOG_GROWTH: Final = math.log1p(2 * RELATIVE_ERROR / (1 - RELATIVE_ERROR))
_LOG_MIDDLE: Final = math.log1p(-RELATIVE_ERROR)
_LOG_LARGEST: Final = math.log(1.7976931348623157e308)
_ZERO, _NAN, _INFINITY, _MINUS_INFINITY = "0", "nan", "inf", "-inf"
_SPECIAL: Final = {_ZERO: 0.0, _NAN: math.nan, _INFINITY: math.inf, _MINUS_INFINITY: -math.inf}
_SIGNS: Final = {"p": 1.0, "m": -1.0}


class Quantiles(Function):
    """Some quantiles of numbers; the state is how many there are in each bucket.

    The quantile q of n numbers is number floor(q * (n - 1)) of them, from 0, in ascending order. Numbers are
    looked at as doubles.
    """

    def __init__(self, spec: FunctionSpec) -> None:
        super().__init__(spec)
        self._quantiles = [Decimal(repr(each)) for each in spec.quantiles]
        self._names = quantile_names(spec)

    def result(self, state: State) -> dict[str, float] | None:
        """Return the quantiles by name, ``p50`` or ``p99_9``; None of nothing."""
        if state is None:
            return None
        ascending = sorted((_order(bucket), _middle(bucket), count) for bucket, count in state.items())
        ranks = [int(each * (sum(state.values()) - 1)) for each in self._quantiles]
        return {name: _at_rank(ascending, rank) for name, rank in zip(self._names, ranks, strict=True)}

    def _state_of(self, values: Sequence[Any], ats: Sequence[At]) -> State:
        del ats
        doubles = values if self.argument.kind is Kind.DOUBLE else list(map(float, values))
        return _collapsed(_counts(doubles))

    def _merged(self, one: State, other: State) -> State:
        merged = dict(one)
        for bucket, count in other.items():
            merged[bucket] = merged.get(bucket, 0) + count
        return _collapsed(merged)


def _counts(values: Sequence[float]) -> dict[str, int]:
    log, ceil = math.log, math.ceil
    try:
        indexes = Counter([ceil(log(value) / _LOG_GROWTH) for value in values])
    except (OverflowError, ValueError):
        # One is no finite number above zero.
        return Counter(map(_bucket, values))
    return {f"p{index}": count for index, count in indexes.items()}


def _bucket(value: float) -> str:
    if not math.isfinite(value):
        return repr(value)
    if value == 0:
        return _ZERO
    return f"{'p' if value > 0 else 'm'}{math.ceil(math.log(abs(value)) / _LOG_GROWTH)}"


def _collapsed(buckets: dict[str, int]) -> dict[str, int]:
    """Return no more than `MAX_BUCKETS` buckets for either sign."""
    found = dict(buckets)
    if len(found) > MAX_BUCKETS:
        for sign in _SIGNS:
            indexes = sorted(int(bucket[1:]) for bucket in found if bucket[0] == sign)
            for index in indexes[:-MAX_BUCKETS]:
                least = f"{sign}{indexes[-MAX_BUCKETS]}"
                found[least] += found.pop(f"{sign}{index}")
    return found


def _middle(bucket: str) -> float:
    if bucket in _SPECIAL:
        return _SPECIAL[bucket]
    exponent = int(bucket[1:]) * _LOG_GROWTH + _LOG_MIDDLE
    return _SIGNS[bucket[0]] * math.exp(min(exponent, _LOG_LARGEST))


def _order(bucket: str) -> tuple[bool, float]:
    middle = _middle(bucket)
    return (True, 0.0) if math.isnan(middle) else (False, middle)


def _at_rank(ascending: list[tuple[tuple[bool, float], float, int]], rank: int) -> float:
    for _, middle, count in ascending:
        rank -= count
        if rank < 0:
            return middle
    return ascending[-1][1]
