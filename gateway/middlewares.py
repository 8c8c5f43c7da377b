"""What holds for every request: counted and timed; errors are RFC 9457 problem details."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from fleet.errors import EventfleetError, TransientError
from gateway.metrics import REQUEST_SECONDS, REQUESTS

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
_CLIENT_ERRORS = 400


def problem(status: int, detail: str, **members: Any) -> web.Response:
    """Return an error as problem details (RFC 9457), ``about:blank`` with a detail for people.

    Args:
        status: HTTP status.
        detail: One line that says what to do.
        members: Further members.
    """
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return web.Response(
        body=orjson.dumps(body | members), status=status, content_type=PROBLEM_TYPE, headers=headers
    )


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count and time each request by its route; what no route takes is ``(none)``."""
    resource = request.match_info.route.resource
    route = "(none)" if resource is None else resource.canonical
    started = time.perf_counter()
    response = await handler(request)
    REQUEST_SECONDS.labels(route).observe(time.perf_counter() - started)
    REQUESTS.labels(route, str(response.status)).inc()
    return response


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
        transient = isinstance(error, TransientError)
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE if transient else HTTPStatus.INTERNAL_SERVER_ERROR, str(error)
        )
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a defect: the gateway's log says more")


def _detail(request: web.Request, error: web.HTTPException) -> str:
    if error.status == HTTPStatus.NOT_FOUND:
        return f"nothing is at {request.path}: see /"
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.path} does not take {error.method}: use {', '.join(sorted(error.allowed_methods))}"
    return error.text or error.reason
