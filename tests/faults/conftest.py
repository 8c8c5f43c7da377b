"""Fixtures of the fault tests: a broker of their own, which they may kill."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.lane_broker import Broker
from tests.support.lane_fixtures import cluster, lane_settings, new_workers
from tests.support.stack import isolated_settings

if TYPE_CHECKING:
    from fleet.settings import Settings

__all__ = ["cluster", "lane_settings", "new_workers"]


@pytest.fixture(scope="package")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the broker that only the fault tests use; no registry belongs to it."""
    return isolated_settings(tmp_path_factory.mktemp("faults-broker"))


@pytest.fixture(scope="package")
def _broker(stack_settings: Settings) -> Iterator[Broker]:
    with Broker.of(stack_settings) as running:
        yield running


@pytest.fixture(autouse=True)
def broker(_broker: Broker) -> Iterator[Broker]:
    """The broker of the fault tests; whatever a test does to it, it is up for the next one."""
    yield _broker
    if _broker.service.identity is None:
        asyncio.run(_broker.started_again())
    _broker.resume()
