"""Fixtures of the lane's integration tests."""

from tests.support.lane_fixtures import cluster, lane_settings, new_workers

__all__ = ["cluster", "lane_settings", "new_workers"]
