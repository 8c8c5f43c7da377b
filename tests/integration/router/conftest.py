"""A stack of their own for what the router says of the events in its topic: many claims, published once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from fleet.settings import Settings
from stack.embedded import EmbeddedStack
from tests.support.agents_fleet import apply_topics
from tests.support.api import Api, open_api
from tests.support.lane_processes import Worker
from tests.support.router_claims import Published, publish_claims
from tests.support.router_runs import router_worker
from tests.support.stack import free_ports, isolated_settings, parts_dir

EVENTS = 100_000


@pytest.fixture(scope="package")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack with the topics and schemas of the catalogue."""
    folder = tmp_path_factory.mktemp("router-stack")
    own = isolated_settings(folder).model_copy(update={"session_timeout_s": 6.0})
    with EmbeddedStack(own, parts_dir=parts_dir()):
        asyncio.run(apply_topics(own))
        yield own


@pytest.fixture(scope="package")
def published(stack_settings: Settings) -> Published:
    """The claims in ``canonical.claim``."""
    return asyncio.run(publish_claims(stack_settings, EVENTS))


@pytest.fixture(scope="module")
def settings(stack_settings: Settings) -> Settings:
    """Settings with a port for the router."""
    return stack_settings.model_copy(update={"router_port": free_ports(1)[0]})


@pytest.fixture(scope="module")
def worker(
    settings: Settings, published: Published, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """A router worker that is ready."""
    del published
    with router_worker(settings, tmp_path_factory.mktemp("router"), settings.router_port) as found:
        asyncio.run(found.ready())
        yield found


@pytest_asyncio.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """A gateway in this process, and an admin's key to it."""
    async with open_api(settings) as opened:
        yield opened
