"""What a request asks: its body, parameters and headers, each read in one way and refused by name."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson
from aiohttp import web

from tables.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY_BYTES: Final = 1 << 20
MAX_REASON: Final = 500
JSON: Final = ("application/json",)
YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml", "application/json")
_ETAG: Final = re.compile(r'^(W/)?"?(?P<version>[0-9]{1,18})"?\Z')


def answer(content: Any, *, status: int = HTTPStatus.OK, **headers: str) -> web.Response:
    """Return JSON that nobody keeps a copy of; header names with ``_`` for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(
        body=orjson.dumps(content, default=msgspec.to_builtins),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **named},
    )


async def body_of(request: web.Request, types: tuple[str, ...]) -> bytes:
    """Return the body, where it is of one of these media types.

    Raises:
        HTTPUnsupportedMediaType: It is of another.
        HTTPRequestEntityTooLarge: It is larger than `MAX_BODY_BYTES`.
    """
    if request.content_type not in types:
        raise web.HTTPUnsupportedMediaType(text=f"Content-Type must be {types[0]}")
    return await request.read()


async def object_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body.

    Raises:
        InvalidInputError: It is no JSON, or no object.
    """
    try:
        found = msgspec.json.decode(await body_of(request, JSON))
    except (msgspec.DecodeError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInputError(f"the body is not JSON: {why}") from None
    if not isinstance(found, dict):
        raise InvalidInputError("the body must be a JSON object")
    return found


def query_of(request: web.Request, *known: str) -> Mapping[str, str]:
    """Return the query's parameters.

    Raises:
        InvalidInputError: One is not known, or is given twice.
    """
    for name in request.query:
        if name not in known:
            hint = f"known: {', '.join(known)}" if known else "give none"
            raise InvalidInputError(f"{name} is not a parameter of this path", field=name, hint=hint)
        if len(request.query.getall(name)) > 1:
            raise InvalidInputError(f"{name} is given twice", field=name, hint="give it once")
    return request.query


def number_of(query: Mapping[str, str], name: str, *, default: int | None = None, most: int = 10**15) -> int:
    """Return a parameter that is a whole number from 1.

    Raises:
        InvalidInputError: It is none, or is missing and has no default.
    """
    text = query.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"[0-9]{1,18}", text) or not 1 <= int(text) <= most:
        raise InvalidInputError(
            f"{name} must be a whole number from 1 to {most}", field=name, hint=f"e.g. ?{name}=1"
        )
    return int(text)


def flag_of(query: Mapping[str, str], name: str) -> bool:
    """Return a parameter that is ``true`` or ``false``, false by default.

    Raises:
        InvalidInputError: It is neither.
    """
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidInputError(f"{name} must be true or false", field=name, hint=f"e.g. ?{name}=true")
    return text == "true"


def reason_of(query: Mapping[str, str]) -> str:
    """Return the parameter ``reason``, why something is done.

    Raises:
        InvalidInputError: It is too long.
    """
    reason = query.get("reason", "")
    if len(reason) > MAX_REASON:
        hint = f"write at most {MAX_REASON} characters"
        raise InvalidInputError(f"reason has {len(reason)} characters", field="reason", hint=hint)
    return reason


def version_of(request: web.Request) -> int | None:
    """Return the version in ``If-Match``; None where there is none, or any will do (``*``).

    Raises:
        InvalidInputError: It is no version.
    """
    text = request.headers.get("If-Match", "*").strip()
    if text == "*":
        return None
    found = _ETAG.match(text)
    if found is None:
        raise InvalidInputError(
            f"If-Match: {text[:50]} is not a version", field="If-Match", hint='send the ETag, e.g. "3"'
        )
    return int(found["version"])
