"""Asynchronous client of a Confluent-compatible schema registry, for use inside the event loop."""

from __future__ import annotations

import json
from http import HTTPStatus
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import aiohttp

from fleet.errors import EventfleetError, FatalError, PermanentError, TransientError

UNKNOWN_SCHEMA_ID = "unknown_schema_id"
UNKNOWN_SUBJECT = "unknown_subject"
INCOMPATIBLE_SCHEMA = "incompatible_schema"
INVALID_SCHEMA = "invalid_schema"
UNUSABLE_SCHEMA = "unusable_schema"

TIMEOUT_S = 5.0
_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_REASONS = {
    40401: UNKNOWN_SUBJECT,
    40402: UNKNOWN_SUBJECT,
    40403: UNKNOWN_SCHEMA_ID,
    HTTPStatus.CONFLICT: INCOMPATIBLE_SCHEMA,
    42201: INVALID_SCHEMA,
}
_NOT_ALLOWED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class SubjectVersion(NamedTuple):
    """One version of a subject: its number, the global id of its schema, the schema."""

    version: int
    schema_id: int
    schema: dict[str, Any]


class Registry:
    """Client of the registry at `url`; use as an async context manager, or close it.

    Every method raises the same errors:

    * `TransientError`: not reachable, too slow, HTTP 5xx or 429, or no answer of a registry at all.
    * `PermanentError`: the registry says no: ``unknown_schema_id``, ``unknown_subject``,
      ``incompatible_schema``, ``invalid_schema``, ``unusable_schema`` (known, but not Avro).
    * `FatalError`: the registry refuses this user.

    Args:
        url: Base URL of the Confluent API.
        timeout_s: Limit of one request, seconds.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client opens new ones when used again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the Avro schema of a global id."""
        answer = await self._request("GET", f"/schemas/ids/{schema_id}")
        return _avro(answer, f"schema id {schema_id}")

    async def latest(self, subject: str) -> SubjectVersion:
        """Return the newest version of a subject."""
        answer = await self._request("GET", f"/subjects/{_quoted(subject)}/versions/latest")
        return SubjectVersion(answer["version"], answer["id"], _avro(answer, f"subject {subject}"))

    async def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Register a schema, or find it if it is registered; return its global id. Idempotent."""
        answer = await self._request("POST", f"/subjects/{_quoted(subject)}/versions", _wrapped(schema))
        return int(answer["id"])

    async def is_compatible(self, subject: str, schema: dict[str, Any]) -> bool:
        """Return whether the subject would take the schema as its next version."""
        path = f"/compatibility/subjects/{_quoted(subject)}/versions/latest"
        answer = await self._request("POST", path, _wrapped(schema))
        return bool(answer["is_compatible"])

    async def require_compatible(self, subject: str, level: str) -> None:
        """Let the subject take only schemas that are compatible with its newest, e.g. ``BACKWARD``."""
        await self._request("PUT", f"/config/{_quoted(subject)}", {"compatibility": level})

    async def subjects(self) -> list[str]:
        """Return the names of all subjects."""
        return [str(each) for each in (await self._request("GET", "/subjects", wanted=list))]

    async def _request(
        self, method: str, path: str, content: dict[str, Any] | None = None, wanted: type = dict
    ) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers={"Accept": _CONTENT_TYPE})
        body = None if content is None else json.dumps(content)
        headers = {"Content-Type": _CONTENT_TYPE}
        url = self.url + path
        try:
            async with self._session.request(method, url, data=body, headers=headers) as response:
                status, text = response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._outage(type(error).__name__) from error
        answer = _json(text)
        if status == HTTPStatus.OK and isinstance(answer, wanted):
            return answer
        raise self._refusal(status, answer if isinstance(answer, dict) else None)

    def _refusal(self, status: int, answer: dict[str, Any] | None) -> EventfleetError:
        if status in _NOT_ALLOWED:
            hint = "check the credentials in EVENTFLEET_REGISTRY_URL"
            return FatalError(f"the schema registry at {self.url} refused this user", hint=hint)
        # A 404 of a proxy has no error code: it says nothing about the schema.
        reason = _REASONS.get(answer.get("error_code", 0)) if answer else None
        if reason is None or answer is None:
            return self._outage(f"HTTP {status}")
        detail = " ".join(str(answer.get("message", "")).split())
        return PermanentError(f"the schema registry answered: {detail}", reason=reason)

    def _outage(self, what: str) -> TransientError:
        hint = "is it up, and is EVENTFLEET_REGISTRY_URL right?"
        return TransientError(f"no answer from the schema registry at {self.url} ({what})", hint=hint)


def _quoted(subject: str) -> str:
    return quote(subject, safe="")


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    return {"schema": json.dumps(schema)}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _avro(answer: dict[str, Any], what: str) -> dict[str, Any]:
    schema = _json(answer["schema"]) if answer.get("schemaType", "AVRO") == "AVRO" else None
    if not isinstance(schema, dict):
        raise PermanentError(f"{what} is not an Avro record schema", reason=UNUSABLE_SCHEMA)
    return schema
