"""What is written in an expression is computed once, and gives what a field of that value gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from fleet.cel import compile_condition
from tests.unit.cel.reference import compiled

OPERATORS: Final = ["==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%"]
CONSTANTS: Final[dict[str, Any]] = {
    "-7": -7,
    "3": 3,
    "2.5": 2.5,
    '"ab"': "ab",
    'b"ab"': b"ab",
    "true": True,
    "null": None,
    'timestamp("2026-01-31T12:00:00+02:00")': datetime(2026, 1, 31, 10, tzinfo=UTC),
    'duration("-1h30m")': timedelta(hours=-1, minutes=-30),
    'decimal("2.50")': Decimal("2.5"),
    'int("3")': 3,
    'double("2.5")': 2.5,
    'string(b"ab")': "ab",
    '"a,b".split(",")': ["a", "b"],
}
VALUES: Final[list[Any]] = [
    *(-7, 0, 3, 2.5, Decimal("2.5"), Decimal(3), Decimal("-7.0"), "", "ab", b"ab", True, False, None),
    *([], [3], ["ab"], ["a", 3], ["a", "b"], {}, {"ab": 3}),
    *(datetime(2026, 1, 31, 10, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)),
    *(timedelta(minutes=-90), timedelta(0)),
]


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("constant", CONSTANTS)
def test_a_constant_takes_the_same_path_as_a_field(operator: str, constant: str) -> None:
    """The short cuts for a constant on either side give what two fields give."""
    text = f"event.a {operator} event.b"

    for value in VALUES:
        if constant == "2.5" and type(value) is Decimal:  # a number as written, and not its nearest double
            continue
        after, before = {"a": value, "b": CONSTANTS[constant]}, {"a": CONSTANTS[constant], "b": value}
        assert compiled(f"event.a {operator} {constant}", after) == compiled(text, after)
        assert compiled(f"{constant} {operator} event.b", before) == compiled(text, before)


@pytest.mark.parametrize("constant", [name for name, value in CONSTANTS.items() if value is not None])
def test_a_list_of_constants_takes_the_same_path_as_a_field(constant: str) -> None:
    """``in`` finds in constants written together what it finds in a list of the event."""
    for value in VALUES:
        if constant == "2.5" and type(value) is Decimal:
            continue
        event = {"a": value, "b": [CONSTANTS[constant]]}
        assert compiled(f"event.a in [{constant}]", event) == compiled("event.a in event.b", event)


def test_a_call_of_constants_runs_only_when_compiled() -> None:
    """A timestamp, a pattern and a time zone written in a condition cost nothing per event."""
    condition = compile_condition(
        'event.t > timestamp("2026-01-31T00:00:00Z") && event.s.matches("^a") '
        '&& event.t.getHours("+01:00") > 3'
    )
    names = set(condition.function.__globals__)
    bound = [condition.function.__globals__[name] for name in names if name.startswith("k")]

    assert datetime(2026, 1, 31, tzinfo=UTC) in bound
    assert not {"^a", "+01:00", "2026-01-31T00:00:00Z"} & {value for value in bound if isinstance(value, str)}
