"""Who asks: an API key in ``Authorization: Bearer``, for every path of the API."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web

from api.metrics import DENIED
from api.services import SERVICES
from tables.access import Actor
from tables.errors import ForbiddenError, UnauthenticatedError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

log = logging.getLogger(__name__)

ACTOR: Final = web.RequestKey("actor", Actor)
"""Who asks, in a request that reaches a handler."""

_SCHEME: Final = "bearer"


@web.middleware
async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let nobody in who is not known; log and count whom a handler or this refuses."""
    actor = None
    try:
        actor = await request.config_dict[SERVICES].keys.authenticate(_token(request))
        request[ACTOR] = actor
        return await handler(request)
    except (UnauthenticatedError, ForbiddenError) as error:
        DENIED.labels(error.reason).inc()
        who = "nobody known" if actor is None else actor.id
        log.warning("denied %s %s to %s at %s: %s", request.method, request.path, who, request.remote, error)
        raise


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != _SCHEME:
        hint = "send an API key as `Authorization: Bearer <key>`"
        raise UnauthenticatedError("nobody is named", hint=hint)
    return token.strip()
