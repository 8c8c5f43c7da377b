"""From the function of a definition to what computes it."""

from __future__ import annotations

from typing import Final

from agents.aggregator.domain.functions.distinct import Distinct
from agents.aggregator.domain.functions.extremes import Max, Min
from agents.aggregator.domain.functions.function import Function
from agents.aggregator.domain.functions.places import Collect, First, Last
from agents.aggregator.domain.functions.quantiles import Quantiles
from agents.aggregator.domain.functions.sums import Avg, Count, Sum, Variance
from agents.aggregator.domain.functions.top_k import TopK
from tables.aggregations.function import FunctionName, FunctionSpec

_FUNCTIONS: Final[dict[FunctionName, type[Function]]] = {
    FunctionName.COUNT: Count,
    FunctionName.SUM: Sum,
    FunctionName.MIN: Min,
    FunctionName.MAX: Max,
    FunctionName.AVG: Avg,
    FunctionName.VARIANCE: Variance,
    FunctionName.VARIANCE_POP: Variance,
    FunctionName.FIRST: First,
    FunctionName.LAST: Last,
    FunctionName.COLLECT: Collect,
    FunctionName.DISTINCT: Distinct,
    FunctionName.QUANTILES: Quantiles,
    FunctionName.TOP_K: TopK,
}


def parse_function(spec: FunctionSpec) -> Function:
    """Return what computes a function of a definition.

    Args:
        spec: The function, with the type of its argument as the platform set it; ``count`` needs none.

    Raises:
        AggregationError: It does not take such an argument, or an expression does not parse.
    """
    return _FUNCTIONS[spec.function](spec)
