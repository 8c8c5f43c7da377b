"""Fixtures of the regression tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet.settings import Settings, settings
from tests.support.lane_fixtures import cluster, lane_settings, new_workers

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["cluster", "lane_settings", "new_workers"]


@pytest.fixture
def offline_settings(tmp_path: Path) -> Settings:
    """Settings of apps that are made and never run."""
    return settings().model_copy(update={"data_dir": tmp_path / "data"})
