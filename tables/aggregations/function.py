"""One function of an aggregation: what a team writes of it."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

import msgspec

from fleet.cel.condition import Condition, compile_condition
from fleet.cel.errors import ExpressionError
from fleet.cel.expression import Expression, compile_expression
from tables.aggregations.errors import AggregationError

MAX_LIMIT: Final = 1_000
"""Values that ``collect`` and ``top_k`` give at most."""
MAX_QUANTILES: Final = 20

_Field = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
_Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)]
_Quantile = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Quantiles = Annotated[tuple[_Quantile, ...], msgspec.Meta(max_length=MAX_QUANTILES)]


class FunctionName(Enum):
    """The aggregate functions.

    Null is left out by all, as in SQL, but for a ``count`` without an argument, which counts events.
    ``variance`` is that of a sample (n - 1), ``variance_pop`` that of a population (n).
    """

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    VARIANCE = "variance"
    VARIANCE_POP = "variance_pop"
    FIRST = "first"
    LAST = "last"
    COLLECT = "collect"
    DISTINCT = "distinct"
    QUANTILES = "quantiles"
    TOP_K = "top_k"


LIMITED: Final = frozenset({FunctionName.COLLECT, FunctionName.TOP_K})
"""The functions that have a limit."""


class FunctionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One function of an aggregation.

    Attributes:
        name: Field of the result; ``as`` in a definition.
        function: What is computed.
        of: CEL that gives its argument; empty only for ``count``, which then counts events.
        where: CEL that an event has to meet; empty takes all.
        quantiles: For ``quantiles``: which, from 0 to 1.
        limit: For ``collect`` and ``top_k``: how many values at most.
        type: Type of the argument by the schemas of the sources, e.g. ``decimal(2)``; the platform sets it.
    """

    name: _Field = msgspec.field(name="as")
    function: FunctionName
    of: str = ""
    where: str = ""
    quantiles: _Quantiles = ()
    limit: _Limit = 10
    type: str = ""

    @property
    def compiled_of(self) -> Expression | None:
        """What gives the argument; None for a ``count`` of events.

        Raises:
            AggregationError: It does not parse or is not supported.
        """
        try:
            return compile_expression(self.of) if self.of.strip() else None
        except ExpressionError as error:
            raise AggregationError.in_field("of", error) from None

    @property
    def compiled_where(self) -> Condition | None:
        """What an event has to meet; None where all count.

        Raises:
            AggregationError: It does not parse or is not supported.
        """
        try:
            return compile_condition(self.where) if self.where.strip() else None
        except ExpressionError as error:
            raise AggregationError.in_field("where", error) from None

    def check(self) -> None:
        """Check all that needs no schema.

        Raises:
            AggregationError: Names the field, for an expression also line and column.
        """
        if not self.of.strip() and self.function is not FunctionName.COUNT:
            raise _refused("of", f"{self.function.value} needs an argument", "e.g. event.total_charge")
        if (self.function is FunctionName.QUANTILES) is not bool(self.quantiles):
            what = "are missing" if self.function is FunctionName.QUANTILES else "are for quantiles alone"
            raise _refused("quantiles", what, "write function: quantiles with e.g. quantiles: [0.5, 0.99]")
        if len(set(self.quantiles)) != len(self.quantiles):
            raise _refused("quantiles", "one is named twice", "name each once")
        _ = self.compiled_of, self.compiled_where


def _refused(field: str, what: str, hint: str) -> AggregationError:
    return AggregationError(f"{field}: {what}", field=field, hint=hint)
