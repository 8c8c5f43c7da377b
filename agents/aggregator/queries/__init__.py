"""Queries of aggregates, on any worker: `queries` gives what adds their paths to the API."""

from agents.aggregator.queries.wiring import queries

__all__ = ["queries"]
