"""Who did what, over HTTP, with whether the chain of records is whole."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from api.asking import answer, number_of, query_of
from api.auth import ACTOR
from api.services import AUDITS, SERVICES
from tables.access import AUDITORS
from tables.audit_pages import MAX_PAGE, PAGE, Wanted, page
from tables.errors import NotFoundError


def add_routes(app: web.Application) -> None:
    """Add ``/audit/{kind}``."""
    app.router.add_get("/audit/{kind}", audit)


async def audit(request: web.Request) -> web.Response:
    """Give the newest records: ``name``, ``actor``, ``action`` filter, ``before`` and ``limit`` page."""
    query = query_of(request, "name", "actor", "action", "before", "limit")
    kind = request.match_info["kind"]
    if kind not in AUDITS:
        raise NotFoundError(f"no audit {kind!r}", hint=f"there are {', '.join(AUDITS)}")
    request[ACTOR].require(AUDITORS, f"read the audit of {kind}")
    wanted = Wanted(
        name=query.get("name", ""),
        actor=query.get("actor", ""),
        action=query.get("action", ""),
        before=number_of(query, "before", default=0),
    )
    limit = number_of(query, "limit", default=PAGE, most=MAX_PAGE)
    lane = request.config_dict[SERVICES].lane
    return answer(asdict(await page(lane, AUDITS[kind], wanted, limit=limit)))
