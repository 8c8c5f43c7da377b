"""Exact numbers: ``decimal``, ``round`` and what they calculate."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cel import EvaluationError, compile_condition, compile_expression

AMOUNTS = st.decimals(-(10**15), 10**15, places=4)


def _value(expression: str, /, **event: Any) -> Any:
    return compile_expression(expression).evaluate({}, lambda: event)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('decimal("1.50")', "1.50"),
        ('decimal("-0.1") + decimal("0.2")', "0.1"),
        ("decimal(3) / 4", "0.75"),
        ("decimal(7u)", "7"),
        ("decimal(event.total)", "249.95"),
        ("event.total * 1.1", "274.945"),
        ("round(event.total * 1.1, 2)", "274.94"),
        ("round(event.total, 1)", "250.0"),
        ("round(event.total, 0)", "250"),
        ("round(event.total, 4)", "249.9500"),
        ('round(decimal("2.5"), 0)', "2"),
        ('round(decimal("3.5"), 0)', "4"),
        ('round(decimal("-2.5"), 0)', "-2"),
        ("round(event.count, 2)", "3.00"),
        ("round(event.total / event.count, 2)", "83.32"),
        ("event.lines.map(line, line.charge)[0] + event.lines[1].charge", "30.05"),
    ],
)
def test_decimals_calculate_exactly(text: str, expected: str) -> None:
    """Amounts stay exact, and rounding takes a tie to the even neighbour."""
    event = {
        "total": Decimal("249.95"),
        "count": 3,
        "lines": [{"charge": Decimal("10.05")}, {"charge": Decimal("20.00")}],
    }

    found = _value(text, **event)

    assert type(found) is Decimal
    assert str(found) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int(event.total)", -2),
        ("double(event.total)", -2.5),
        ("string(event.total)", "-2.50"),
        ("string(event.small)", "0.00000001"),
        ('uint(decimal("2.9"))', 2),
        ('event.total == decimal("-2.5")', True),
        ('event.total < decimal("-2.49")', True),
        ('event.total in [decimal("1"), decimal("-2.500")]', True),
        ("event.total == -2.5", True),
        ('decimal("3") == event.count', True),
        ('decimal("1.5") > event.count', False),
    ],
)
def test_decimals_convert_and_compare(text: str, expected: object) -> None:
    """A decimal is compared by its value, whatever its scale, and written without an exponent."""
    found = _value(text, total=Decimal("-2.50"), small=Decimal("1E-8"), count=3)

    assert found == expected
    assert isinstance(found, type(expected))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("decimal(event.text)", "not a decimal; write digits and a point, e.g. 1.50"),
        ("decimal(event.half)", "no such overload: decimal(double)"),
        ("round(event.half, 1)", "no such overload: round(double, int)"),
        ("round(event.one, event.half)", "no such overload: round(decimal, double)"),
        ("round(event.one, -1 * event.many)", "round() takes 0 to 38 decimal places"),
        ("round(event.one, event.many)", "round() takes 0 to 38 decimal places"),
        ("event.one + event.half", "no such overload: decimal + double"),
        ("uint(-event.one)", "uint overflow"),
        ("int(event.huge)", "int overflow"),
        ("event.one / (event.one - 1)", "division by zero"),
        ("round(event.huge * event.huge, 38)", "decimal overflow"),
    ],
)
def test_decimals_are_never_guessed(text: str, reason: str) -> None:
    """What has no exact answer is an error: a double, a text that is none, too many digits."""
    event = {"text": "1,50", "half": 0.5, "one": Decimal(1), "many": 39, "huge": Decimal("9" * 38)}

    with pytest.raises(EvaluationError) as failed:
        _value(text, **event)

    assert failed.value.message == reason


@given(AMOUNTS, AMOUNTS)
def test_sums_and_products_of_amounts_are_exact(one: Decimal, two: Decimal) -> None:
    """For every pair of amounts the result is that of rational numbers."""
    event = {"a": one, "b": two}

    assert Fraction(_value("event.a + event.b", **event)) == Fraction(one) + Fraction(two)
    assert Fraction(_value("event.a - event.b", **event)) == Fraction(one) - Fraction(two)
    assert Fraction(_value("event.a * event.b", **event)) == Fraction(one) * Fraction(two)


@given(AMOUNTS, st.integers(0, 6))
def test_rounding_is_half_even(amount: Decimal, places: int) -> None:
    """For every amount and scale the result is the nearest, and of two the even one."""
    expected = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)

    assert str(_value("round(event.a, event.n)", a=amount, n=places)) == str(expected)


@given(AMOUNTS)
def test_a_decimal_survives_its_text(amount: Decimal) -> None:
    """Written as a string and read again, an amount is the same to the digit."""
    assert str(_value("decimal(string(event.a))", a=amount)) == format(amount, "f")


def test_a_written_decimal_equals_a_number_as_written() -> None:
    """Beside a decimal, 0.1 and decimal("0.1") say the same; beside a double neither is a decimal."""
    charge = {"charge": Decimal("0.1")}

    assert compile_condition('event.charge == 0.1 && event.charge == decimal("0.1")').matches(
        {}, dict, charge
    )
    with pytest.raises(EvaluationError, match="no such overload: double == decimal"):
        compile_condition('event.charge == decimal("0.1")').matches({}, dict, {"charge": 0.1})
