"""The HTTP API of a gateway in the test's own process, asked by whoever a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fleet.lane.config import LaneConfig
from fleet.settings import Settings
from gateway.app import new_app
from schemas.registry import Registry
from tables.access import Actor, Role
from tables.keys import Keys
from tests.support.lane_kafka import Cluster
from tests.support.polling import until

ADMIN = Actor(id="test", team="platform", roles=(Role.ADMIN,))


LIMIT_S = 30.0


def a_rule(name: str, **fields: Any) -> dict[str, Any]:
    """Return a rule as a team writes it."""
    plain = {"name": name, "owner": "finance", "source": "canonical.claim", "targets": ["finance.claims"]}
    return {**plain, "condition": "event.total_charge > 10", "state": "active", **fields}


def an_aggregation(name: str, **fields: Any) -> dict[str, Any]:
    """Return an aggregation as a team writes it; its change topic is its own."""
    return {
        "name": name,
        "owner": "finance",
        "sources": ["canonical.claim"],
        "group_by": {"payer": "event.payer.id"},
        "windows": {"kind": "tumbling", "size_ms": 60_000},
        "functions": [{"as": "total", "function": "sum", "of": "event.total_charge"}],
        "output": {"topic": f"finance.{name}", "mode": "both"},
        "state": "active",
        **fields,
    }


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
        settings: Of the gateway.
        keys: The key service, to make further keys.
        token: The key that is used by default, an admin's.
        admin: Who makes keys.
    """

    client: TestClient[web.Request, web.Application]
    settings: Settings
    keys: Keys
    token: str
    admin: Actor = ADMIN

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
        if content is not None:
            options["json"] = content
        named = {"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})}
        async with self.client.request(method, f"/v1{path}", headers=named, **options) as response:
            is_json = "json" in response.content_type
            body = await response.json(content_type=None) if is_json else await response.text()
            return Answer(response.status, body, response.headers)

    async def send(
        self, method: str, path: str, body: str | bytes, media_type: str, **options: Any
    ) -> Answer:
        """Ask with any body."""
        return await self.ask(method, path, headers={"Content-Type": media_type}, data=body, **options)

    async def known(self, method: str, path: str, content: Any, *, token: str) -> Answer:
        """Ask with a key that was just made, as soon as the gateway knows it."""

        async def answered() -> Answer | None:
            answer = await self.ask(method, path, content, token=token)
            return None if answer.status == HTTPStatus.UNAUTHORIZED else answer

        found = await until(answered, LIMIT_S, "the key known to the gateway")
        assert found is not None
        return found

    def registry(self) -> Registry:
        """Return a client of the schema registry."""
        return Registry(self.settings.registry)

    async def rows(self, topic: str) -> list[Any]:
        """Return the committed records of a topic."""
        return await Cluster(self.settings.kafka).read(topic)


class Server(TestServer):
    """A web server as the gateway and workers are: a handler is not cancelled when its client goes."""

    async def _make_runner(self, **options: Any) -> web.BaseRunner:
        return await super()._make_runner(**{**options, "handler_cancellation": False})


@asynccontextmanager
async def open_api(settings: Settings) -> AsyncIterator[Api]:
    """Run a gateway, and make an admin's key."""
    keys = Keys(LaneConfig.of(settings))
    try:
        issued = await keys.issue("platform", [Role.ADMIN], ADMIN)
        async with TestClient(Server(new_app(settings))) as client:
            yield Api(client, settings, keys, issued.token)
    finally:
        await keys.stop()
