"""Errors over HTTP: problem details (RFC 9457), and the one place that says which error is which status."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from fleet.errors import EventfleetError, PermanentError, TransientError
from tables.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

log = logging.getLogger(__name__)

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
_CLIENT_ERRORS: Final = 400

STATUS: Final[Mapping[type[EventfleetError], HTTPStatus]] = {
    InvalidInputError: HTTPStatus.BAD_REQUEST,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    PermanentError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Status of each kind of error, the first that fits; of any other a person has to mend the cause: 500."""

_MEMBERS: Final = ("reason", "field", "line", "column", "version", "hint")


def problem(status: int, detail: str, **members: Any) -> web.Response:
    """Return an error as problem details (RFC 9457), ``about:blank`` with a detail for people.

    Args:
        status: HTTP status.
        detail: One line that says what to do.
        members: Further members.
    """
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="eventfleet"'
    return web.Response(
        body=orjson.dumps(body | members), status=status, content_type=PROBLEM_TYPE, headers=headers
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever goes wrong into problem details."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < _CLIENT_ERRORS:
            raise
        answer = problem(error.status, _detail(request, error))
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except EventfleetError as error:
        return _of(error)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a defect: the log says more")


def _of(error: EventfleetError) -> web.Response:
    fits = (status for kind, status in STATUS.items() if isinstance(error, kind))
    members = {name: value for name in _MEMBERS if (value := getattr(error, name, None))}
    return problem(next(fits, HTTPStatus.INTERNAL_SERVER_ERROR), str(error), **members)


def _detail(request: web.Request, error: web.HTTPException) -> str:
    if error.status == HTTPStatus.NOT_FOUND:
        return f"nothing is at {request.path}: see /"
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.path} does not take {error.method}: use {', '.join(sorted(error.allowed_methods))}"
    return error.text or error.reason
