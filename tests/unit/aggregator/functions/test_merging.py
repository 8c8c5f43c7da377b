"""Every function: the same state however events are cut into chunks, in whatever order these are merged."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.aggregator.domain.functions import RefusedValuesError
from fleet.cel.nodes import Uint
from tables.aggregations.errors import AggregationError
from tests.support.aggregates import a_function, in_pieces, places, whole

# For each function and type.
EXAMPLES = 25

INTS = st.integers(-(2**63), 2**63 - 1)
# Equal ones are written in several ways, as by sources of different scale.
DECIMALS = st.one_of(
    st.decimals(-(10**12), 10**12, places=2),
    *(st.decimals(-1, 1, places=places) for places in (0, 1, 2)),
    st.just(Decimal("-0.0")),
)
DOUBLES = st.floats()
STRINGS = st.text(max_size=3)
TIMES = st.datetimes(timezones=st.just(UTC))
NUMBERS: dict[str, st.SearchStrategy[Any]] = {
    "int": INTS,
    "uint": st.integers(0, 2**64 - 1).map(Uint),
    "decimal(2)": DECIMALS,
    "double": DOUBLES,
}
SCALARS = {
    **NUMBERS,
    "string": STRINGS,
    "timestamp": TIMES,
    "bytes": st.binary(max_size=3),
    "bool": st.booleans(),
}
OF_NUMBERS = ["sum", "avg", "variance", "variance_pop", "quantiles"]
OF_SCALARS = ["count", "min", "max", "first", "last", "collect", "distinct", "top_k"]
CASES = [(name, type_) for name in OF_NUMBERS for type_ in NUMBERS] + [
    (name, type_) for name in OF_SCALARS for type_ in SCALARS
]


@pytest.mark.parametrize(("name", "type_"), CASES, ids=[f"{name}-{type_}" for name, type_ in CASES])
def test_chunks_and_orders_do_not_matter(name: str, type_: str) -> None:
    """Nulls among them, shuffled, cut anywhere, merged as any tree, through JSON: the state is the same."""
    function = a_function(name, type_, limit=3)

    @settings(max_examples=EXAMPLES)
    @given(values=st.lists(st.none() | SCALARS[type_], max_size=30), random=st.randoms(use_true_random=False))
    def same(values: list[Any], random: Random) -> None:
        expected = whole(function, values)
        found = in_pieces(function, values, random)
        assert found == expected or (not found and not expected)
        assert repr(function.result(found)) == repr(function.result(expected))

    same()


@pytest.mark.parametrize(("name", "type_"), CASES, ids=[f"{name}-{type_}" for name, type_ in CASES])
def test_states_are_json_and_stay_as_they_are(name: str, type_: str) -> None:
    """Adding and merging give new states; those before can be used again, e.g. after an aborted commit."""
    function = a_function(name, type_, limit=3)

    @settings(max_examples=EXAMPLES)
    @given(values=st.lists(SCALARS[type_], min_size=2, max_size=10))
    def kept(values: list[Any]) -> None:
        one, other = (
            whole(function, values[:1]),
            whole(function, values[1:], places(10, 1)[: len(values) - 1]),
        )
        before = json.dumps([one, other], allow_nan=False)
        function.merge(one, other)
        function.add(one, values[1], places(1)[0])
        assert json.dumps([one, other], allow_nan=False) == before

    kept()


@pytest.mark.parametrize(("name", "type_"), CASES, ids=[f"{name}-{type_}" for name, type_ in CASES])
def test_one_by_one_is_all_at_once(name: str, type_: str) -> None:
    """`add` does what `add_all` does."""
    function = a_function(name, type_, limit=3)

    @settings(max_examples=EXAMPLES)
    @given(values=st.lists(st.none() | SCALARS[type_], max_size=6))
    def same(values: list[Any]) -> None:
        state = function.empty()
        for value, at in zip(values, places(len(values)), strict=True):
            state = function.add(state, value, at)
        assert (state or None) == (whole(function, values) or None)

    same()


@pytest.mark.parametrize("name", [*OF_NUMBERS, *OF_SCALARS[1:]])
def test_nulls_are_left_out(name: str) -> None:
    """As in SQL: nulls alone give what nothing gives."""
    function = a_function(name, "int")
    assert whole(function, [None, None]) is None
    assert function.result(whole(function, [None, 7, None])) == function.result(
        whole(function, [7], places(2)[1:])
    )


def test_values_of_other_types_are_refused_with_their_places() -> None:
    """The error names the field, types and places, never values; nothing was counted."""
    function = a_function("sum", "decimal(2)")
    with pytest.raises(RefusedValuesError) as refused:
        whole(function, [Decimal(1), 2, None, "secret", True])
    assert refused.value.refused == {
        1: "expected decimal, got int",
        3: "expected decimal, got string",
        4: "expected decimal, got bool",
    }
    assert str(refused.value) == "x: expected decimal, got int"


@pytest.mark.parametrize(
    ("name", "type_", "message"),
    [
        ("sum", "string", "of: sum of event.a: got string: give a number"),
        ("first", "list", "of: first of event.a: got list: give a number, string, bytes, bool or timestamp"),
        (
            "max",
            "dyn",
            "of: max of event.a: its type is not known: convert it, e.g. with string(x) or int(x)",
        ),
        (
            "avg",
            "decimal",
            "of: avg of event.a: its digits behind the point are not known: write round(x, 2)",
        ),
        ("min", "money", "type: 'money' is no type of an argument: it is set by the platform"),
        ("min", "", "type: '' is no type of an argument: it is set by the platform"),
    ],
)
def test_arguments_that_a_function_does_not_take(name: str, type_: str, message: str) -> None:
    """They are refused with what would be right."""
    with pytest.raises(AggregationError) as refused:
        a_function(name, type_)
    assert str(refused.value) == message


def test_timestamps_of_one_moment_are_one_value() -> None:
    """Whatever zone they are written in."""
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    elsewhere = datetime.fromisoformat("2026-01-31T13:00:00+01:00")
    function = a_function("distinct", "timestamp")
    assert function.result(function.merge(whole(function, [noon]), whole(function, [elsewhere]))) == 1
