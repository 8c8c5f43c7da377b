"""Exact functions against a plain recomputation with fractions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.aggregator.domain.functions import ResultTooLargeError, parse_function
from tables.aggregations.function import FunctionName, FunctionSpec
from tests.support.aggregates import a_function, in_pieces, places, whole

NAN, INF = math.nan, math.inf
RANDOMS = st.randoms(use_true_random=False)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9)


def result(name: str, type_: str, values: list[Any], random: Random | None = None) -> Any:
    """Return what a function gives, of values counted at once or in pieces."""
    function = a_function(name, type_)
    return function.result(in_pieces(function, values, random) if random else whole(function, values))


def nearest(number: Fraction) -> float:
    """Return the double nearest to a fraction."""
    try:
        return float(number)
    except OverflowError:
        return INF if number > 0 else -INF


@given(values=st.lists(FINITE, min_size=1, max_size=30), random=RANDOMS)
@example(values=[1e308, 1e308, -1e308], random=Random(1))
@example(values=[1e308, 1e308, 1e308], random=Random(2))
@example(values=[1e16, 1.0, -1e16], random=Random(3))
@example(values=[5e-324, 1e308, -1e308], random=Random(4))
def test_doubles_are_summed_exactly(values: list[float], random: Random) -> None:
    """Sum and mean are the doubles nearest to the exact ones, also past the largest double on the way."""
    total = sum(map(Fraction, values), Fraction(0))
    assert result("sum", "double", values, random) == nearest(total)
    assert result("avg", "double", values, random) == nearest(total / len(values))


@given(values=st.lists(FINITE, min_size=2, max_size=20), random=RANDOMS)
def test_variance_of_doubles_is_the_nearest_to_the_exact_one(values: list[float], random: Random) -> None:
    """For a sample and for a population, whatever their magnitudes."""
    exact = list(map(Fraction, values))
    assert result("variance", "double", values, random) == nearest(statistics.variance(exact))
    assert result("variance_pop", "double", values, random) == nearest(statistics.pvariance(exact))


@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=20), random=RANDOMS)
def test_integers_do_not_wrap(values: list[int], random: Random) -> None:
    """A sum past 64 bits is a decimal like any other; mean and variance are the nearest doubles."""
    exact = list(map(Fraction, values))
    assert result("sum", "int", values, random) == sum(values)
    assert result("avg", "int", values, random) == nearest(sum(exact, Fraction(0)) / len(values))
    assert result("variance", "int", values, random) == nearest(statistics.variance(exact))


@given(values=st.lists(DECIMALS, min_size=2, max_size=20), random=RANDOMS)
def test_money_is_exact(values: list[Decimal], random: Random) -> None:
    """Sums to the cent; a mean is rounded once, to six digits, a tie to the even one."""
    exact = list(map(Fraction, values))
    mean = result("avg", "decimal(2)", values, random)
    assert result("sum", "decimal(2)", values, random) == sum(exact)
    assert Fraction(mean) == Fraction(round(sum(exact) / len(values) * 10**6), 10**6)
    assert mean.as_tuple().exponent == -6
    assert result("variance", "decimal(2)", values, random) == nearest(statistics.variance(exact))


def test_a_mean_is_rounded_half_even() -> None:
    """0.0000005 is between two neighbours of six digits."""
    assert result("avg", "decimal(6)", [Decimal("0.000001"), Decimal(0)]) == Decimal(0)
    assert result("avg", "decimal(6)", [Decimal("0.000003"), Decimal(0)]) == Decimal("0.000002")
    assert result("avg", "decimal(8)", [Decimal("0.00000001"), Decimal("0.00000003")]) == Decimal(
        "0.00000002"
    )


def test_a_sum_too_large_for_its_schema_is_an_error() -> None:
    """Never a rounded amount: it names the field and says what to do."""
    function = a_function("sum", "decimal(2)")
    state = whole(function, [Decimal("9" * 36 + ".99"), Decimal("0.01")])
    with pytest.raises(ResultTooLargeError, match="x: the result has more than 38 digits: aggregate over"):
        function.result(state)


@pytest.mark.parametrize(
    ("values", "total", "least", "greatest"),
    [
        ([1.0, NAN], NAN, 1.0, NAN),
        ([NAN], NAN, NAN, NAN),
        ([INF, 1.0], INF, 1.0, INF),
        ([INF, -INF], NAN, -INF, INF),
        ([INF, -INF, NAN], NAN, -INF, NAN),
        ([-INF, -INF], -INF, -INF, -INF),
        ([1e308, 1e308, INF], INF, 1e308, INF),
        ([1e308, 1e308, -INF], -INF, -INF, 1e308),
    ],
)
def test_doubles_that_are_no_numbers(
    values: list[float], total: float, least: float, greatest: float
) -> None:
    """Sums go by IEEE 754; NaN is above all numbers; a variance is NaN; in every order."""
    for seed in range(10):
        random = Random(seed)
        assert repr(result("sum", "double", values, random)) == repr(total)
        assert repr(result("avg", "double", values, random)) == repr(total)
        assert repr(result("min", "double", values, random)) == repr(least)
        assert repr(result("max", "double", values, random)) == repr(greatest)
        if len(values) > 1:
            assert repr(result("variance", "double", values, random)) == "nan"
        variance = a_function("variance", "double")
        assert in_pieces(variance, values, random, chunk=1) == whole(variance, values)


def test_zeros_of_either_sign_are_one_value() -> None:
    """0.0 and -0.0 are equal, so which comes first must not show."""
    for values in ([0.0, -0.0], [-0.0, 0.0]):
        for name in ("min", "max", "sum"):
            assert repr(result(name, "double", values)) == "0.0"
        assert result("distinct", "double", values) == 1
        assert result("top_k", "double", values)["values"] == [{"value": 0.0, "count": 2}]


@pytest.mark.parametrize("name", ["sum", "avg", "min", "max", "first", "last", "quantiles", "variance_pop"])
def test_of_nothing_there_is_no_result(name: str) -> None:
    """As in SQL."""
    function = a_function(name, "int")
    assert function.result(function.empty()) is None


def test_a_sample_of_one_has_no_variance() -> None:
    """As in SQL; a population of one has none either, but there it is 0."""
    assert result("variance", "int", [5]) is None
    assert result("variance_pop", "int", [5]) == 0.0


def test_count_counts_events_or_arguments() -> None:
    """Without an argument all events, with one those where it is not null, of whatever type."""
    counting = a_function("count")
    assert counting.result(whole(counting, [1, None, "x", [2]])) == 3
    assert counting.result(counting.empty()) == 0
    events = parse_function(FunctionSpec(name="n", function=FunctionName.COUNT))
    assert events.result(whole(events, [1, None])) == 2


@pytest.mark.parametrize(("name", "chosen"), [("first", min), ("last", max)])
def test_first_and_last_go_by_time_and_place(name: str, chosen: Callable[..., Any]) -> None:
    """Event time, then topic, partition and offset; not the order in which they come."""
    function = a_function(name, "int")
    for seed in range(20):
        ats = places(30, seed)
        values = list(range(30))
        expected = chosen(values, key=ats.__getitem__)
        assert function.result(in_pieces(function, values, Random(seed), ats)) == expected


def test_collect_says_how_many_it_dropped() -> None:
    """The first values in order, and how many came after them."""
    function = a_function("collect", "int", limit=3)
    ats = places(10, 3)
    ordered = sorted(range(10), key=ats.__getitem__)
    state = in_pieces(function, list(range(10)), Random(1), ats)
    assert function.result(state) == {"values": ordered[:3], "dropped": 7}
    assert function.result(whole(function, [5])) == {"values": [5], "dropped": 0}
    assert function.result(function.empty()) == {"values": [], "dropped": 0}
