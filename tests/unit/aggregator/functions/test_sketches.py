"""Sketches on real distributions: within their stated error, and the same in every order of merges."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from agents.aggregator.domain.functions.distinct import EXACT_VALUES, STANDARD_ERROR
from agents.aggregator.domain.functions.quantiles import MAX_BUCKETS, RELATIVE_ERROR
from agents.aggregator.domain.functions.top_k import COUNTERS
from tests.support.aggregates import a_function, in_pieces, whole

CHUNK = 3_000
# The middle of a bucket is computed in doubles.
ROUNDING = 1e-9


@pytest.mark.parametrize("count", [1, 17, EXACT_VALUES])
def test_few_different_values_are_counted_exactly(count: int) -> None:
    """However often each comes."""
    values = [f"provider {each % count}" for each in range(count * 3)]
    function = a_function("distinct", "string")
    assert function.result(in_pieces(function, values, Random(1), chunk=50)) == count


@pytest.mark.parametrize("count", [EXACT_VALUES + 1, 1_000, 5_000, 20_000, 60_000])
def test_many_different_values_are_estimated_within_the_error(count: int) -> None:
    """Within three standard errors of 1.6 %; the estimate is the same whatever the order of merges."""
    values = [f"member {each}" for each in range(count)]
    function = a_function("distinct", "string")
    state = whole(function, values)
    assert abs(function.result(state) - count) <= 3 * STANDARD_ERROR * count
    for seed in range(2):
        assert in_pieces(function, values, Random(seed), chunk=CHUNK) == state


def test_the_error_of_distinct_is_as_stated() -> None:
    """Over many sets of values its root mean square is the standard error, and it leans to neither side."""
    function, count, sets = a_function("distinct", "int"), 3_000, 60
    errors = [
        function.result(whole(function, range(each * count, (each + 1) * count))) / count - 1
        for each in range(sets)
    ]
    assert math.sqrt(sum(error * error for error in errors) / sets) <= 1.3 * STANDARD_ERROR
    assert abs(sum(errors) / sets) <= 3 * STANDARD_ERROR / math.sqrt(sets)


DISTRIBUTIONS = {
    "amounts": lambda random: random.lognormvariate(5, 2),
    "temperatures": lambda random: random.gauss(0, 20),
    "durations": lambda random: random.expovariate(0.01),
    "ratios": lambda random: random.uniform(-1, 1),
    "wide": lambda random: random.choice((-1, 1)) * 10.0 ** random.uniform(-8, 8),
    "mostly zero": lambda random: random.choice((0.0, 0.0, 0.0, random.random())),
}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_quantiles_are_within_one_percent(distribution: str) -> None:
    """Of the value at that rank in the sorted list, with every quantile from 0 to 1."""
    random = Random(7)
    values = [DISTRIBUTIONS[distribution](random) for _ in range(4_001)]
    quantiles = (0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)
    function = a_function("quantiles", "double", quantiles=quantiles)
    state = in_pieces(function, values, Random(1), chunk=CHUNK)
    assert state == whole(function, values)
    ordered, found = sorted(values), function.result(state)
    assert list(found) == ["p0", "p1", "p25", "p50", "p75", "p95", "p99", "p99_9", "p100"]
    for quantile, estimate in zip(quantiles, found.values(), strict=True):
        exact = ordered[int(Decimal(str(quantile)) * 4_000)]
        assert math.isclose(estimate, exact, rel_tol=RELATIVE_ERROR + ROUNDING), quantile


@pytest.mark.parametrize("type_", ["decimal(2)", "int"])
def test_quantiles_of_exact_numbers(type_: str) -> None:
    """Decimals and integers are looked at as doubles."""
    values: list[Any] = [Decimal(each) if type_ == "decimal(2)" else each for each in range(1, 1_002)]
    function = a_function("quantiles", type_, quantiles=(0.5,))
    assert math.isclose(function.result(whole(function, values))["p50"], 501, rel_tol=RELATIVE_ERROR)


def test_quantiles_order_what_is_no_number() -> None:
    """Infinities are at the ends, NaN is above all."""
    function = a_function("quantiles", "double", quantiles=(0.0, 0.25, 0.5, 0.75, 1.0))
    state = whole(function, [math.nan, 0.0, math.inf, -math.inf, 5e-324])
    assert repr(list(function.result(state).values())) == repr([-math.inf, 0.0, 5e-324, math.inf, math.nan])


def test_quantiles_of_the_largest_doubles() -> None:
    """Their bucket's middle would be past the largest double."""
    function = a_function("quantiles", "double", quantiles=(0.0, 1.0))
    found = function.result(whole(function, [1.7976931348623157e308, -1.7976931348623157e308]))
    assert found["p100"] == -found["p0"]
    assert math.isclose(found["p100"], 1.7976931348623157e308, rel_tol=RELATIVE_ERROR)


def test_more_buckets_than_fit_keep_the_largest_numbers() -> None:
    """Numbers nearest to zero share a bucket, the same one in every order; the others keep their error."""
    growth = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
    values = [sign * growth**each * 1e-30 for each in range(MAX_BUCKETS + 500) for sign in (1, -1)]
    function = a_function("quantiles", "double", quantiles=(0.01, 0.5, 0.7, 0.99))
    state = whole(function, values)
    for seed in range(2):
        assert in_pieces(function, values, Random(seed), chunk=CHUNK) == state
    assert len(state) == 2 * MAX_BUCKETS
    ordered, found = sorted(values), function.result(state)
    for name, quantile in (("p1", "0.01"), ("p70", "0.7"), ("p99", "0.99")):
        exact = ordered[int(Decimal(quantile) * (len(values) - 1))]
        assert math.isclose(found[name], exact, rel_tol=RELATIVE_ERROR + ROUNDING), name


def zipf(random: Random, different: int, count: int) -> list[str]:
    """Return values of which few are frequent and many rare."""
    weights = [1 / (rank + 1) for rank in range(different)]
    return [f"code {each}" for each in random.choices(range(different), weights, k=count)]


def test_top_k_is_exact_for_as_many_values_as_it_has_counters() -> None:
    """Then the error is 0; of equally frequent values the first text comes first."""
    values = zipf(Random(1), COUNTERS, 9_000)
    function = a_function("top_k", "string", limit=20)
    expected = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))[:20]
    assert function.result(in_pieces(function, values, Random(2), chunk=CHUNK)) == {
        "values": [{"value": value, "count": count} for value, count in expected],
        "error": 0,
    }


@pytest.mark.parametrize("seed", range(3))
def test_top_k_beyond_stays_within_its_error(seed: int) -> None:
    """In every order: counts from below, at most `error` too small, and that at most n / (counters + 1)."""
    values = zipf(Random(seed), 8 * COUNTERS, 20_000)
    exact = Counter(values)
    function = a_function("top_k", "string", limit=50)
    state = in_pieces(function, values, Random(seed), chunk=CHUNK)
    found = function.result(state)
    error = found["error"]
    assert 0 < error <= len(values) / (COUNTERS + 1)
    assert len(state[1]) <= COUNTERS
    for each in found["values"]:
        assert each["count"] <= exact[each["value"]] <= each["count"] + error
    assert all(count <= error for value, count in exact.items() if value not in state[1])
    assert {each["value"] for each in found["values"][:10]} == {value for value, _ in exact.most_common(10)}
