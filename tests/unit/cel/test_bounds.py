"""What one evaluation may cost, whatever an event holds."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from fleet.cel import EvaluationError, compile_expression
from fleet.cel.values import MAX_SIZE

TOO_LARGE = f"result too large: more than {MAX_SIZE} characters, bytes or elements"
NUMBERS = list(range(1100))
LONG = "x" * 400_000


def _value(expression: str, /, **event: Any) -> Any:
    return compile_expression(expression).evaluate({}, lambda: event)


@pytest.mark.parametrize(
    "text",
    [
        "event.n.map(x, event.n.map(y, y))",
        "event.n.map(x, event.n.filter(y, y >= 0))",
        "event.n.exists(x, event.n.exists(y, y == -1))",
        "event.n.map(x, event.n.all(y, y >= 0))",
        "event.n.map(x, [x, event.long + event.long])",
        "event.n.map(x, event.long + string(x))",
        "event.n.map(x, 'a'.replace('a', event.long))",
        "event.n.map(x, event.long.split(''))",
        "event.n.exists(x, [event.long, event.long].join() == 'y')",
        "event.n.exists(x, event.n == event.m)",
        "event.n.exists(x, -1 - x in event.n)",
        "event.n.exists(x, event.text.contains('y' + string(x)))",
        "event.n.exists(x, [event.long, event.long].exists(y, y.contains('y')))",
        "event.n.all(x, !event.text.matches('y$'))",
        "event.n.map(x, event.n)",
        "event.n.map(x, event.nested)",
        "event.long + event.long + event.long",
        "event.long.replace('x', 'xxx')",
        "[event.long, event.long, event.long].join()",
        "event.n.map(x, '0').join('y' + event.long)",
        "['xxxxxxxx']" + ".map(x, x + x)" * 20,
    ],
)
def test_an_evaluation_that_costs_too_much_is_an_error(text: str) -> None:
    """Loops within loops, and lists and text that grow, end with an error before they fill the memory."""
    event = {
        "n": NUMBERS,
        "m": [*NUMBERS[:-1], -1],
        "nested": [[NUMBERS], {"k": NUMBERS}],
        "long": LONG,
        "text": "x" * 64_000,
    }
    tracemalloc.start()

    with pytest.raises(EvaluationError) as failed:
        _value(text, **event)

    assert failed.value.message == TOO_LARGE
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        "event.n.map(x, x + 1).size() == 1100",
        "event.n.filter(x, event.codes.exists(c, c == string(x))).size() == 30",
        "event.codes.exists(c, event.text.contains(c + '!')) == false",
        "event.codes.all(c, c in event.codes)",
        "event.n.map(x, {'number': x, 'text': string(x)})[5].text == '5'",
        "event.codes.map(c, event.codes.map(d, c + d).join()).join().size() > 2000",
        "(event.long + event.long).size() == 800000",
        "event.codes.all(c, event.n.exists(x, string(x) == c))",
    ],
)
def test_an_evaluation_of_a_usual_size_is_within_the_bounds(text: str) -> None:
    """Lists of a thousand, texts of a hundred pages, and loops over both are no trouble."""
    event = {"n": NUMBERS, "codes": [str(n) for n in range(30)], "long": LONG, "text": "x" * 64_000}

    assert _value(text, **event) is True
