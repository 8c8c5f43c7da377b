"""The registry client over real HTTP: answers of a registry, of a proxy, and none at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from fleet.errors import FatalError, PermanentError, TransientError
from schemas.registry import Registry, SubjectVersion

TIMEOUT_S = 2.0
AVSC = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}


@dataclass
class Script:
    """What the server answers, and what it was asked."""

    status: int = 200
    body: str = "{}"
    never: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer every request alike."""
        self.asked.append((request.method, request.raw_path, await request.text()))
        if self.never:
            await asyncio.Event().wait()
        return web.Response(status=self.status, text=self.body)


@pytest.fixture
async def script() -> Script:
    """Return the script of the server."""
    return Script()


@pytest.fixture
async def registry(script: Script) -> AsyncIterator[Registry]:
    """Return a client of a server that follows the script."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    async with (
        TestServer(app) as server,
        Registry(str(server.make_url("/api")), timeout_s=TIMEOUT_S) as client,
    ):
        yield client


async def test_a_schema_by_id(registry: Registry, script: Script) -> None:
    """The schema comes parsed, from the path of the Confluent API."""
    script.body = json.dumps({"schema": json.dumps(AVSC)})
    assert await registry.schema(7) == AVSC
    assert script.asked == [("GET", "/api/schemas/ids/7", "")]


async def test_the_latest_version_of_a_subject(registry: Registry, script: Script) -> None:
    """Version, id and schema, whatever characters the subject has."""
    script.body = json.dumps({"subject": "a/b", "version": 2, "id": 7, "schema": json.dumps(AVSC)})
    assert await registry.latest("a/b") == SubjectVersion(2, 7, AVSC)
    assert script.asked[0][1] == "/api/subjects/a%2Fb/versions/latest"


async def test_registering_sends_the_schema_as_text(registry: Registry, script: Script) -> None:
    """The id of the registered schema comes back."""
    script.body = '{"id": 7}'
    assert await registry.register("r-value", AVSC) == 7
    assert json.loads(json.loads(script.asked[0][2])["schema"]) == AVSC


@pytest.mark.parametrize("compatible", [True, False])
async def test_compatibility(registry: Registry, script: Script, *, compatible: bool) -> None:
    """The registry's judgement is handed on."""
    script.body = json.dumps({"is_compatible": compatible})
    assert await registry.is_compatible("r-value", AVSC) is compatible


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, 40403, "unknown_schema_id"),
        (404, 40401, "unknown_subject"),
        (409, 409, "incompatible_schema"),
        (422, 42201, "invalid_schema"),
    ],
)
async def test_a_no_of_the_registry_is_permanent(
    registry: Registry, script: Script, status: int, code: int, reason: str
) -> None:
    """Each error code of the registry has its reason, and its message is kept on one line."""
    script.status, script.body = status, json.dumps({"error_code": code, "message": "not\nso"})
    with pytest.raises(PermanentError, match="not so") as error:
        await registry.schema(7)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, '{"error_code": 50001, "message": "store"}'),
        (503, "busy"),
        (429, "{}"),
        (404, "<html>no such page</html>"),
        (404, '{"message": "no route"}'),
        (200, "<html>log in</html>"),
        (200, "[]"),
    ],
)
async def test_anything_that_is_no_answer_of_a_registry_is_transient(
    registry: Registry, script: Script, status: int, body: str
) -> None:
    """A server error, an overload, a proxy's own 404 or a log-in page say nothing about the schema."""
    script.status, script.body = status, body
    with pytest.raises(TransientError, match=f"HTTP {status}"):
        await registry.schema(7)


async def test_a_registry_that_does_not_answer_is_transient(registry: Registry, script: Script) -> None:
    """A request has a time limit."""
    script.never = True
    with pytest.raises(TransientError, match="TimeoutError"):
        await registry.schema(7)


async def test_a_registry_that_is_not_there_is_transient() -> None:
    """Nobody listens: the message names the address and the setting."""
    url = f"http://127.0.0.1:{unused_port()}"
    async with Registry(url) as client:
        with pytest.raises(TransientError, match=f"{url}.*EVENTFLEET_REGISTRY_URL"):
            await client.schema(7)


async def test_a_refused_user_is_fatal(registry: Registry, script: Script) -> None:
    """Wrong credentials do not mend themselves."""
    script.status, script.body = 401, "{}"
    with pytest.raises(FatalError, match="refused this user"):
        await registry.schema(7)


@pytest.mark.parametrize(
    "answer",
    [{"schema": "message M {}", "schemaType": "PROTOBUF"}, {"schema": '"string"'}, {"schema": "not JSON"}],
)
async def test_a_schema_that_is_no_avro_record_is_permanent(
    registry: Registry, script: Script, answer: dict[str, str]
) -> None:
    """An id can be known and yet be of no use."""
    script.body = json.dumps(answer)
    with pytest.raises(PermanentError) as error:
        await registry.schema(7)
    assert error.value.reason == "unusable_schema"


async def test_a_closed_client_opens_again(registry: Registry, script: Script) -> None:
    """Closing gives the connections back; a later request makes new ones."""
    script.body = json.dumps({"schema": json.dumps(AVSC)})
    await registry.schema(7)
    await registry.close()
    assert await registry.schema(7) == AVSC
