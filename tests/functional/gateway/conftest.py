"""A gateway on free ports, and answers of workers that a test chooses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fleet.settings import Settings
from gateway.app import new_app
from tests.support.stack import free_ports

PORTS = ("gateway_port", "kafka_port", "registry_port", "router_port", "aggregator_port", "normalizer_port")

Client = TestClient[web.Request, web.Application]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[int, Answer], Awaitable[None]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose every port is free: nothing is up but what a test starts."""
    ports: dict[str, Any] = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    own = {"host": "127.0.0.1", "data_dir": tmp_path, "bootstrap_servers": None, "registry_url": None}
    return Settings().model_copy(update=own | ports)


@pytest_asyncio.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """An HTTP client of a gateway with these settings."""
    async with TestClient(TestServer(new_app(settings))) as made:
        yield made


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """Answer every request to a port."""
    servers: list[TestServer] = []

    async def start(port: int, answer: Answer) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        servers.append(TestServer(app, port=port))
        await servers[-1].start_server()

    yield start
    for server in servers:
        await server.close()
