"""The API of a gateway whose Kafka is down: nobody is let in, and nobody waits for ever."""

from __future__ import annotations

import pytest

from tables import keys
from tests.functional.gateway.conftest import Client

TOKEN = f"ef_0000_{'x' * 43}"


@pytest.mark.parametrize("path", ["/v1/routes", "/v1/routes/x", "/v1/audit/routes", "/v1/nothing"])
async def test_whoever_names_nobody_is_refused_at_once(client: Client, path: str) -> None:
    """401 needs no Kafka."""
    answer = await client.get(path)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert (await answer.json())["detail"].endswith("send an API key as `Authorization: Bearer <key>`")


async def test_a_key_that_cannot_be_looked_up_opens_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 after a bounded time, with when to try again."""
    monkeypatch.setattr(keys, "READY_LIMIT_S", 0.5)
    answer = await client.get("/v1/routes", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert "the API keys cannot be read yet" in (await answer.json())["detail"]
