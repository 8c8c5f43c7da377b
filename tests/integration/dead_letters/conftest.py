"""Dead letters on a real broker, and their service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from fleet.lane.config import LaneConfig
from fleet.settings import Settings
from schemas.registry import Registry
from tables.dead_letters import DeadLetters
from tests.support.dead_letters import Desk, create_topics
from tests.support.lane_fixtures import cluster
from tests.support.lane_kafka import Cluster

__all__ = ["cluster"]


@pytest_asyncio.fixture
async def letters(stack_settings: Settings) -> AsyncIterator[DeadLetters]:
    """The service, straight on Kafka."""
    await create_topics(stack_settings)
    async with Registry(stack_settings.registry) as registry:
        service = DeadLetters(LaneConfig.of(stack_settings), registry)
        yield service
        await service.stop()


@pytest.fixture
def desk(cluster: Cluster, unique: Callable[[str], str]) -> Desk:
    """Where this test's letters are."""
    return Desk(cluster, unique("reason"))
