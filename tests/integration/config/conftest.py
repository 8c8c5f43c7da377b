"""Gateways on one real stack, and keys to their API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from fleet.settings import Settings
from stack.embedded import EmbeddedStack
from tests.support.agents_fleet import apply_topics
from tests.support.api import Api, open_api
from tests.support.stack import isolated_settings, parts_dir


@pytest.fixture(scope="package")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack of their own, with the topics and schemas of the catalogue."""
    own = isolated_settings(tmp_path_factory.mktemp("config-stack"))
    with EmbeddedStack(own, parts_dir=parts_dir()):
        asyncio.run(apply_topics(own))
        yield own


@pytest_asyncio.fixture
async def api(stack_settings: Settings) -> AsyncIterator[Api]:
    """A gateway in this process, and an admin's key to it."""
    async with open_api(stack_settings) as opened:
        yield opened
