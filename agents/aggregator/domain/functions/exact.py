"""Sums that never round, as text: whole numbers, decimals, and doubles as multiples of powers of two.

Equal sums have equal texts, in whatever order the numbers came.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import reduce
from typing import Any, Final

from agents.aggregator.domain.functions.texts import EXACT, write_decimal
from fleet.cel.types import Kind

_FEW: Final = 16
"""Decimals for which to change the context takes longer than to sum them."""
_SPECIAL: Final = frozenset({"nan", "inf", "-inf"})


class Arithmetic(ABC):
    """Exact sums of numbers of one kind."""

    @abstractmethod
    def total(self, values: Sequence[Any]) -> str:
        """Return the sum."""

    @abstractmethod
    def squares(self, values: Sequence[Any]) -> str:
        """Return the sum of the squares."""

    @abstractmethod
    def plus(self, one: str, other: str) -> str:
        """Return the sum of two sums."""

    @abstractmethod
    def ratio(self, text: str) -> Fraction | float:
        """Return a sum as an exact fraction; NaN or an infinity where it is that."""


class _Whole(Arithmetic):
    def total(self, values: Sequence[Any]) -> str:
        return str(int(sum(values)))

    def squares(self, values: Sequence[Any]) -> str:
        return str(sum(value * value for value in map(int, values)))

    def plus(self, one: str, other: str) -> str:
        return str(int(one) + int(other))

    def ratio(self, text: str) -> Fraction | float:
        return Fraction(int(text))


class _Decimals(Arithmetic):
    def total(self, values: Sequence[Any]) -> str:
        if len(values) <= _FEW:
            return write_decimal(reduce(EXACT.add, values))
        with localcontext(EXACT):
            return write_decimal(sum(values, Decimal(0)))

    def squares(self, values: Sequence[Any]) -> str:
        with localcontext(EXACT):
            return write_decimal(sum((value * value for value in values), Decimal(0)))

    def plus(self, one: str, other: str) -> str:
        return write_decimal(EXACT.add(Decimal(one), Decimal(other)))

    def ratio(self, text: str) -> Fraction | float:
        return Fraction(Decimal(text))


class _Doubles(Arithmetic):
    """A finite sum is ``<odd number in hexadecimal>:<power of two>``.

    A total costs about three passes of `math.fsum`; squares cost several times that, for the square of a
    double needs twice its digits.
    """

    def total(self, values: Sequence[Any]) -> str:
        if len(values) == 1:
            return _special(values) or _written(_binaries(values))
        try:
            parts = _parts(values)
        except (OverflowError, ValueError):
            # More than the largest double on the way, or both infinities.
            return _special(values) or _written(_binaries(values))
        return _special(values) or "nan" if parts is None else _written(_binaries(parts))

    def squares(self, values: Sequence[Any]) -> str:
        special = _special(map(abs, values))
        if special:
            return special
        return _written((whole * whole, 2 * power) for whole, power in _binaries(values))

    def plus(self, one: str, other: str) -> str:
        if one in _SPECIAL or other in _SPECIAL:
            return repr(sum(float(each) for each in (one, other) if each in _SPECIAL))
        return _written(map(_read, (one, other)))

    def ratio(self, text: str) -> Fraction | float:
        if text in _SPECIAL:
            return float(text)
        whole, power = _read(text)
        return Fraction(whole << power) if power >= 0 else Fraction(whole, 1 << -power)


def _parts(values: Sequence[float]) -> list[float] | None:
    """Return doubles that give the sum exactly, each the nearest to what is left; None for no number."""
    rest, parts = list(values), list[float]()
    while part := math.fsum(rest):
        if not math.isfinite(part):
            return None
        parts.append(part)
        rest.append(-part)
    return parts


def _special(values: Iterable[float]) -> str:
    """Return the sum of what is not finite; empty where all are."""
    found = [value for value in values if not math.isfinite(value)]
    return repr(sum(found)) if found else ""


def _binaries(values: Iterable[float]) -> Iterable[tuple[int, int]]:
    """Yield finite doubles as whole numbers and the powers of two they are multiples of."""
    for value in values:
        whole, divisor = value.as_integer_ratio()
        yield whole, 1 - divisor.bit_length()


def _written(numbers: Iterable[tuple[int, int]]) -> str:
    by_power: defaultdict[int, int] = defaultdict(int)
    for whole, power in numbers:
        by_power[power] += whole
    least = min(by_power, default=0)
    total = sum(whole << (power - least) for power, whole in by_power.items())
    if total == 0:
        return "0:0"
    zeros = (total & -total).bit_length() - 1
    return f"{total >> zeros:x}:{least + zeros}"


def _read(text: str) -> tuple[int, int]:
    whole, _, power = text.partition(":")
    return int(whole, 16), int(power)


def nearest_double(number: Fraction | float) -> float:
    """Return the double nearest to an exact number, an infinity where it is beyond them."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


ARITHMETIC: Final[dict[Kind, Arithmetic]] = {
    Kind.INT: _Whole(),
    Kind.UINT: _Whole(),
    Kind.DECIMAL: _Decimals(),
    Kind.DOUBLE: _Doubles(),
}
