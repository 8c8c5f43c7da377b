"""One stack and one fleet for all tests of the agents: topic names are the catalogue's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.settings import Settings
from stack.embedded import EmbeddedStack
from tests.support.agents_fleet import Fleet, running_fleet
from tests.support.lane_processes import Worker
from tests.support.stack import isolated_settings, parts_dir


@pytest.fixture(scope="package")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack that only the agents' tests use."""
    own = isolated_settings(tmp_path_factory.mktemp("agents-stack"))
    with EmbeddedStack(own, parts_dir=parts_dir()):
        yield own


@pytest.fixture(scope="package")
def fleet(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One worker of each agent, ready."""
    with running_fleet(stack_settings, tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture(scope="module")
def routers(fleet: Fleet) -> Iterator[list[Worker]]:
    """Two router workers that share the partitions."""
    with fleet.another("router") as second:
        yield [fleet.workers["router"], second]
