"""Errors of aggregations."""

from __future__ import annotations

from tables.errors import DefinitionError


class AggregationError(DefinitionError):
    """The definition of an aggregation is refused as a whole: nothing of it becomes active."""

    noun = "aggregation"
    reason = "invalid_aggregation"
