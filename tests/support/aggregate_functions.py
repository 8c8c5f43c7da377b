"""Aggregate functions recomputed from all values at once: in SQL, and in Python's own exact arithmetic."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, Final

_IN_ORDER: Final = 'order by time_ms, topic, "partition", "offset"'
_LISTED: Final = "list({of} {order}) filter ({where})"
_SQL: Final = {
    "count": "count(*) filter ({where})",
    "distinct": "count(distinct {of}) filter ({where})",
    "min": "min({of}) filter ({where})",
    "max": "max({of}) filter ({where})",
    "first": f"first({{of}} {_IN_ORDER}) filter ({{where}})",
    "last": f"last({{of}} {_IN_ORDER}) filter ({{where}})",
    "collect": _LISTED.replace("{order}", _IN_ORDER),
    "top_k": "histogram({of}) filter ({where})",
    "quantiles": "list({of} order by {of}) filter ({where})",
}
# A row: in a list all three would be of one type, and rounded.
_SUMS: Final = "row(count(*) filter ({where}), sum({of}) filter ({where}), sum({of} * {of}) filter ({where}))"
_EXACT: Final = Context(prec=1_000)
_EXACT_DISTINCT: Final = 256
_EXACT_COUNTERS: Final = 1_000
_THREE_SIGMA: Final = 0.049
_QUANTILE_ERROR: Final = 0.01


@dataclass(frozen=True)
class Asked:
    """A function of a definition, and what it is in SQL.

    Attributes:
        document: As it is in a definition.
        of: Its argument in SQL; empty for a count of events.
        where: Its condition in SQL.
        double: Whether its argument is a double, whose sums SQL would round on the way.
        places: Digits behind the point of the mean of decimals.
    """

    document: Mapping[str, Any]
    of: str = ""
    where: str = "true"
    double: bool = False
    places: int | None = None

    @property
    def name(self) -> str:
        """Its field in results."""
        return str(self.document["as"])

    @property
    def function(self) -> str:
        """Its name."""
        return str(self.document["function"])

    @property
    def sql(self) -> str:
        """What SQL finds for it, of which `answer` makes the result."""
        where = f"where ({self.where})" + (f" and ({self.of}) is not null" if self.of else "")
        template = _SQL.get(self.function, _LISTED if self.double else _SUMS)
        of = f"({self.of})::hugeint" if template == _SUMS and self.places is None else f"({self.of})"
        return template.format(of=of, where=where, order="")

    def answer(self, found: Any) -> Any:
        """Return what is right, of what SQL found; for a sketch the exact values that it is near to."""
        match self.function:
            case "sum" | "avg" | "variance" | "variance_pop":
                return self._moments(found) if not self.double else self._doubles(found or [])
            case "collect":
                values, limit = found or [], self.document["limit"]
                return {"values": values[:limit], "dropped": max(0, len(values) - limit)}
            case "top_k":
                return dict(found or {})
            case "quantiles":
                return self._quantiles([float(each) for each in found or []])
            case _:
                return found

    def agrees(self, given: Any, right: Any) -> bool:
        """Tell whether a result is right: equal, or for a sketch within its stated error."""
        match self.function:
            case "distinct":
                return bool(abs(given - right) <= (0 if right <= _EXACT_DISTINCT else _THREE_SIGMA * right))
            case "top_k":
                return self._most_frequent(given, right)
            case "quantiles":
                if right is None or given is None:
                    return given is right
                return given.keys() == right.keys() and all(_near(given[key], right[key]) for key in right)
            case _:
                return _equal(given, right)

    def _moments(self, found: Sequence[Any]) -> Any:
        count, total, squares = (Fraction(each or 0) for each in found)
        if not count:
            return None
        if self.function == "sum":
            return Decimal(found[1])
        if self.function == "avg":
            return float(total / count) if self.places is None else _rounded(total / count, self.places)
        sample = self.function == "variance"
        return None if count <= sample else float((squares - total * total / count) / (count - sample))

    def _doubles(self, values: Sequence[float]) -> float | None:
        sample = self.function == "variance"
        if len(values) <= sample:
            return None
        if not all(map(math.isfinite, values)):
            total = sum(each for each in values if not math.isfinite(each))
            return total if self.function in {"sum", "avg"} else math.nan
        exact = list(map(Fraction, values))
        match self.function:
            case "sum":
                return math.fsum(values)
            case "avg":
                return float(sum(exact) / len(exact))
            case _:
                return float((statistics.variance if sample else statistics.pvariance)(exact))

    def _quantiles(self, values: Sequence[float]) -> dict[str, float] | None:
        if not values:
            return None
        found = {}
        for each in map(str, self.document["quantiles"]):
            percent = f"{(Decimal(each) * 100).normalize():f}".replace(".", "_")
            found[f"p{percent}"] = values[math.floor(Decimal(each) * (len(values) - 1))]
        return found

    def _most_frequent(self, given: Any, right: Mapping[Any, int]) -> bool:
        counts = {item["value"]: item["count"] for item in given["values"]}
        if len(right) <= _EXACT_COUNTERS:
            ranked = sorted(right.items(), key=lambda item: (-item[1], str(item[0])))
            return bool(given["error"] == 0 and list(counts.items()) == ranked[: self.document["limit"]])
        error, least = given["error"], min(counts.values(), default=0)
        bounded = error <= sum(right.values()) / (_EXACT_COUNTERS + 1)
        near = all(count <= right.get(value, 0) <= count + error for value, count in counts.items())
        # What is not among them has no more than the last of them, but for the error.
        full = len(counts) == self.document["limit"]
        most = error + (least if full else 0)
        complete = all(count <= most for value, count in right.items() if value not in counts)
        return bool(bounded and near and complete)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


def _near(given: float, right: float) -> bool:
    if not math.isfinite(right):
        return _equal(given, right)
    # Beside the error of the sketch there is that of a double.
    return abs(given - right) <= abs(right) * (_QUANTILE_ERROR + 1e-9)


def _rounded(number: Fraction, places: int) -> Decimal:
    exact = _EXACT.divide(Decimal(number.numerator), Decimal(number.denominator))
    return exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN, _EXACT)
