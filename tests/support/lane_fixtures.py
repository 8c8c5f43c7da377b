"""Fixtures of the tests that run the lane on a real broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_kafka import Cluster
from tests.support.lane_processes import Workers

if TYPE_CHECKING:
    from fleet.settings import Settings

SESSION_TIMEOUT_S = 6.0

NewWorkers = Callable[[str, str], Workers]


@pytest.fixture
def lane_settings(stack_settings: Settings, tmp_path: Path) -> Settings:
    """Settings of lane workers on the test's broker: a short session, data of their own."""
    return stack_settings.model_copy(
        update={"session_timeout_s": SESSION_TIMEOUT_S, "data_dir": tmp_path / "data"}
    )


@pytest.fixture
def cluster(stack_settings: Settings) -> Cluster:
    """The real broker."""
    return Cluster(stack_settings.kafka)


@pytest.fixture
def new_workers(lane_settings: Settings, tmp_path: Path) -> Iterator[NewWorkers]:
    """Make `Workers` of an app and a source topic; all are gone when the test ends."""
    made: list[Workers] = []

    def make(app_id: str, source: str) -> Workers:
        made.append(Workers(lane_settings, tmp_path, app_id, source))
        return made[-1]

    yield make
    for workers in made:
        workers.end()
