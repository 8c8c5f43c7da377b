"""A stack of their own for what the router says of the events in its topic: many claims, published once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from fleet.settings import Settings
from stack.embedded import EmbeddedStack
from tests.support.agents_fleet import apply_topics
from tests.support.router_claims import Published, publish_claims
from tests.support.stack import isolated_settings, parts_dir

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
