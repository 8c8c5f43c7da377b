"""The HTTP API of a gateway in the test's own process, asked by whoever a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fleet.lane.config import LaneConfig
from fleet.settings import Settings
from gateway.app import new_app
from tables.access import Actor, Role
from tables.keys import Keys

ADMIN = Actor(id="test", team="platform", roles=(Role.ADMIN,))


@dataclass(frozen=True)
class Answer:
    """What the API answered."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Api:
    """A client of the API.

    Attributes:
        client: Of the gateway.
        keys: The key service, to make further keys.
        token: The key that is used by default, an admin's.
    """

    client: TestClient[web.Request, web.Application]
    keys: Keys
    token: str

    async def key(self, team: str, *roles: Role) -> str:
        """Make a key."""
        return (await self.keys.issue(team, roles, ADMIN)).token

    async def ask(
        self,
        method: str,
        path: str,
        content: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """Ask for ``/v1`` and `path`; `content` is sent as JSON."""
        named = {"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})}
        async with self.client.request(
            method, f"/v1{path}", json=content, headers=named, **options
        ) as response:
            is_json = "json" in response.content_type
            body = await response.json(content_type=None) if is_json else await response.text()
            return Answer(response.status, body, response.headers)


@asynccontextmanager
async def open_api(settings: Settings) -> AsyncIterator[Api]:
    """Run a gateway, and make an admin's key."""
    keys = Keys(LaneConfig.of(settings))
    try:
        issued = await keys.issue("platform", [Role.ADMIN], ADMIN)
        async with TestClient(TestServer(new_app(settings))) as client:
            yield Api(client, keys, issued.token)
    finally:
        await keys.stop()
