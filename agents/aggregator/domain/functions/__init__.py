"""Aggregate functions whose states merge: results depend on the events alone, not on chunks or order."""

from agents.aggregator.domain.functions.function import (
    At,
    Function,
    RefusedValuesError,
    ResultTooLargeError,
    State,
)
from agents.aggregator.domain.functions.parsing import parse_function

__all__ = ["At", "Function", "RefusedValuesError", "ResultTooLargeError", "State", "parse_function"]
