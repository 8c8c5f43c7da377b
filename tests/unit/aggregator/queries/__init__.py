"""Queries of aggregates."""
