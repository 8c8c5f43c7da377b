"""Aggregate functions in tests: one at hand, and its values counted in any way that a fleet could."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from agents.aggregator.domain.functions import At, Function, State, parse_function
from tables.aggregations.function import FunctionName, FunctionSpec

MAX_CHUNK = 7


def a_function(name: str, type_: str = "", **spec: Any) -> Function:
    """Return a function of an argument of a type, by its name in a definition."""
    if name == "quantiles":
        spec = {"quantiles": (0.0, 0.5, 0.9, 1.0), **spec}
    return parse_function(
        FunctionSpec(name="x", function=FunctionName(name), of="event.a", type=type_, **spec)
    )


def places(count: int, seed: int = 0) -> list[At]:
    """Return so many places of events, all different; many share a time."""
    random = Random(seed)
    return [
        At(random.randrange(5), f"t{random.randrange(2)}", random.randrange(2), each) for each in range(count)
    ]


def whole(function: Function, values: Sequence[Any], ats: Sequence[At] = ()) -> State:
    """Return the state of all values, counted at once."""
    return function.add_all(function.empty(), values, ats or places(len(values)))


def in_pieces(
    function: Function, values: Sequence[Any], random: Random, ats: Sequence[At] = (), chunk: int = MAX_CHUNK
) -> State:
    """Return the state of all values: shuffled, cut into chunks, and merged two by two in any order.

    Each state is written as JSON and read again before it is merged.
    """
    ats = ats or places(len(values))
    order = list(range(len(values)))
    random.shuffle(order)
    states = [function.empty()]
    while order:
        size = random.randint(1, chunk)
        taken, order = order[:size], order[size:]
        state = states.pop() if random.random() < 0.3 else function.empty()
        states.append(
            function.add_all(state, [values[each] for each in taken], [ats[each] for each in taken])
        )
    while len(states) > 1:
        one, other = (json.loads(json.dumps(states.pop(random.randrange(len(states))))) for _ in range(2))
        states.append(function.merge(one, other))
    return states[0]
