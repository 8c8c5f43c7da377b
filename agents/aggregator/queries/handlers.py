"""``/v1/aggregates``: aggregates as any worker answers for them, and as the gateway passes them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from agents.aggregator.domain.windowing.window import ALL_TIME, MAX_MS, MIN_MS, Window
from agents.aggregator.queries.answers import accepted, csv_of
from agents.aggregator.queries.asked import instant_ms, instant_text
from agents.aggregator.queries.cursors import parse_cursor
from agents.aggregator.queries.group_questions import OfGroup, OfSeveral
from agents.aggregator.queries.questions import KEYS, WINDOW, WINDOWS, Answer, Question
from agents.aggregator.queries.ranking import Ranking
from agents.aggregator.queries.reading import Span, window_at
from agents.aggregator.queries.results import as_of, watermark_of
from agents.aggregator.queries.spread import BUILD_HEADER, STANDBY_HEADER, Local, Spread, asked_partitions
from agents.aggregator.queries.status import OfStatus
from agents.aggregator.queries.window_questions import OfTop, OfWindow, OfWindows
from api import ACTOR
from api.asking import answer, flag_of, number_of, object_of, query_of
from tables.access import READERS
from tables.aggregations.window import WindowKind
from tables.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from agents.aggregator.queries.spread import Part
    from agents.aggregator.queries.targets import Target, Targets

PREFIX: Final = "/aggregates/{name}"
ALL: Final = "all"
"""In a path, the start of the one window of an aggregation without windows."""
LIMIT: Final = 100
MAX_LIMIT: Final = 1_000
MAX_KEYS: Final = 1_000
MAX_ROWS: Final = 10_000
"""Rows that an answer about several keys can have at most."""

_OPTIONS: Final = ("from", "to", "latest", "limit", "cursor", "build")
_JSON: Final = "application/json"
_ORDERS: Final = ("asc", "desc")


class AggregateHandlers:
    """The handlers of ``/aggregates`` that read the tables.

    Args:
        targets: Finds builds.
        spread: Asks the partitions.
    """

    def __init__(self, targets: Targets, spread: Spread) -> None:
        self._targets = targets
        self._spread = spread

    def add_routes(self, app: web.Application) -> None:
        """Add all paths; what they answer is told by each handler."""
        app.router.add_get(PREFIX, self.status)
        app.router.add_get(f"{PREFIX}/keys", self.keys)
        app.router.add_post(f"{PREFIX}/keys", self.several)
        app.router.add_get(f"{PREFIX}/windows", self.windows)
        app.router.add_get(f"{PREFIX}/windows/{{start}}", self.window)
        app.router.add_get(f"{PREFIX}/windows/{{start}}/top", self.top)

    async def status(self, request: web.Request) -> web.Response:
        """Say how an aggregation stands: its builds, watermarks, state, and what they wait for."""
        _allowed(request, "see how aggregations stand")
        query_of(request)
        question = OfStatus(await self._targets.builds(request.match_info["name"]))
        if (parts := await self._asked(request, question.of)) is not None:
            return parts
        _type_of(request, _JSON)
        wanted = set(range(self._spread.partitions()))
        found = await self._spread.parts(request, 0, wanted, question.of)
        return answer({**question.shown(found), **_freshness(found)})

    async def keys(self, request: web.Request) -> web.Response:
        """Give the rows of one group, which a parameter for each part of its key names."""
        target, cursor = await self._target(request, KEYS)
        query = query_of(request, *sorted(target.parts.parameters() | set(_OPTIONS)))
        group = target.parts.of_query(query, _OPTIONS)
        latest = flag_of(query, "latest")
        span, limit = _span(target, query), number_of(query, "limit", default=LIMIT, most=MAX_LIMIT)
        partitions = self._spread.partitions()
        question = OfGroup(target, (group,), partitions, span, latest=latest, limit=limit, after=cursor)
        return await self._answer(request, question, question.needed())

    async def several(self, request: web.Request) -> web.Response:
        """Give the rows of the groups that the body names, each with its rows or as missing."""
        target, _ = await self._target(request)
        query_of(request, "build")
        body = await object_of(request)
        question = _several(target, body, self._spread.partitions())
        return await self._answer(request, question, question.needed())

    async def windows(self, request: web.Request) -> web.Response:
        """Say which windows have rows, in the order in which they end."""
        target, cursor = await self._target(request, WINDOWS)
        query = query_of(request, "from", "to", "limit", "cursor", "build")
        limit = number_of(query, "limit", default=LIMIT, most=MAX_LIMIT)
        question = OfWindows(target, _span(target, query), limit, cursor)
        return await self._answer(request, question, None, _JSON)

    async def window(self, request: web.Request) -> web.Response:
        """Give all rows of a window; of sessions, of all that begin then."""
        start_ms, name = _start(request)
        target, cursor = await self._target(request, f"{WINDOW} {start_ms}")
        query = query_of(request, "limit", "cursor", "build")
        limit = number_of(query, "limit", default=LIMIT, most=MAX_LIMIT)
        question = OfWindow(target, start_ms, _window(target, start_ms, name), limit, cursor)
        return await self._answer(request, question, None)

    async def top(self, request: web.Request) -> web.Response:
        """Give the rows of a window with the greatest result in a field, or with ``order=asc`` the least."""
        start_ms, name = _start(request)
        target, _ = await self._target(request)
        query = query_of(request, "by", "n", "order", "build")
        if not query.get("by"):
            hint = f"e.g. ?by={target.functions[0]}"
            raise InvalidInputError("by is missing: which field to rank by", field="by", hint=hint)
        if query.get("order", _ORDERS[1]) not in _ORDERS:
            raise InvalidInputError("order must be asc or desc", field="order", hint="desc by default")
        ranking = Ranking(target.compiled.functions, query["by"], descending=query.get("order") != _ORDERS[0])
        most = number_of(query, "n", default=10, most=MAX_LIMIT)
        question = OfTop(target, start_ms, _window(target, start_ms, name), ranking, most)
        return await self._answer(request, question, None)

    async def _target(self, request: web.Request, question: str = "") -> tuple[Target, str]:
        """Return the build that is asked about, and where the page begins."""
        _allowed(request, "query aggregates")
        query = request.query
        cursor = parse_cursor(query["cursor"], question) if question and "cursor" in query else None
        number = None if cursor is None else cursor.build
        if "build" in query:
            number = number_of(query, "build")
        if asked_partitions(request) is not None and request.headers.get(BUILD_HEADER, "").isdecimal():
            number = int(request.headers[BUILD_HEADER][:18])
        target = await self._targets.target(request.match_info["name"], number)
        return target, "" if cursor is None else cursor.after

    async def _asked(self, request: web.Request, local: Local) -> web.Response | None:
        """Return the parts that another worker asks for; None where it is not one that asks."""
        partitions = asked_partitions(request)
        if partitions is None:
            return None
        standby = request.headers.get(STANDBY_HEADER) == "true"
        parts = await self._spread.here(partitions, local, standby=standby)
        return answer({"parts": {str(partition): part for partition, part in parts.items()}})

    async def _answer(
        self, request: web.Request, question: Question, wanted: set[int] | None, *types: str
    ) -> web.Response:
        if (parts := await self._asked(request, question.of)) is not None:
            return parts
        media_type = _type_of(request, *types)
        every = set(range(self._spread.partitions())) if wanted is None else wanted
        target = question.target
        found = await self._spread.parts(request, target.number, every, question.of)
        made = question.answer(found)
        about = {**target.about(), "watermark": instant_text(watermark_of(found)), **_freshness(found)}
        if media_type == _JSON:
            return _json(made, about)
        return _csv(target, made, about, request)


def _json(made: Answer, about: Mapping[str, Any]) -> web.Response:
    content: dict[str, Any] = {**about, **made.more}
    if "keys" not in made.more and "windows" not in made.more:
        content["rows"] = [row.shown() for row in made.rows]
    if "keys" not in made.more:
        content["next"] = None if made.next is None else made.next.text()
    return answer(content)


def _csv(target: Target, made: Answer, about: Mapping[str, Any], request: web.Request) -> web.Response:
    shared = {"watermark": about["watermark"], "build": about["build"]}
    text = csv_of(made.rows, target.parts.names, target.functions, shared)
    headers = {"Cache-Control": "no-store", "X-Fleet-As-Of": str(about["as_of"])}
    if about["standbys"]:
        headers["X-Fleet-Standbys"] = orjson.dumps(about["standbys"]).decode()
    if made.next is not None:
        cursor = made.next.text()
        headers["X-Fleet-Next"] = cursor
        headers["Link"] = f'<{request.rel_url.update_query(cursor=cursor)}>; rel="next"'
    if missing := sum("missing" in each for each in made.more.get("keys", ())):
        headers["X-Fleet-Missing"] = str(missing)
    return web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers)


def _freshness(parts: Sequence[Part]) -> dict[str, Any]:
    standbys = [
        {"partition": part["partition"], "lag": part["lag"], "as_of": instant_text(part["as_of_ms"])}
        for part in parts
        if part["lag"] is not None
    ]
    return {"as_of": instant_text(as_of(parts)), "standbys": standbys}


def _allowed(request: web.Request, what: str) -> None:
    request[ACTOR].require(READERS, what)


def _type_of(request: web.Request, *types: str) -> str:
    """Return the media type to answer with.

    Raises:
        HTTPNotAcceptable: The client takes none that there is.
    """
    offered = types or (_JSON, "text/csv")
    found = accepted(request.headers.getall("Accept", []), offered)
    if found is None:
        raise web.HTTPNotAcceptable(text=f"Accept must allow {' or '.join(offered)}")
    return found


def _span(target: Target, values: Mapping[str, Any]) -> Span:
    given = {name: str(values[name]) for name in ("from", "to") if values.get(name) is not None}
    if given and target.kind is WindowKind.NONE:
        hint = "leave from and to out"
        raise InvalidInputError("the aggregation has no windows", field=next(iter(given)), hint=hint)
    ends = {name: instant_ms(text, name) for name, text in given.items()}
    return Span(ends.get("from", MIN_MS), ends.get("to", MAX_MS))


def _start(request: web.Request) -> tuple[int, str]:
    text = request.match_info["start"]
    return (MIN_MS if text == ALL else instant_ms(text, "start")), text


def _window(target: Target, start_ms: int, text: str) -> Window | None:
    """Return the window that begins then; None for sessions, of which several may.

    Raises:
        NotFoundError: No window begins then.
    """
    if target.kind is WindowKind.NONE:
        if text != ALL:
            raise NotFoundError("the aggregation has no windows", hint="ask for windows/all")
        return ALL_TIME
    if text == ALL:
        raise NotFoundError("the aggregation has windows", hint="name one by its start: see its windows")
    if target.kind is WindowKind.SESSION:
        return None
    found = window_at(target.compiled.windows, start_ms)
    if found is None:
        held = target.compiled.windows.windows_of(start_ms)[0]
        hint = f"one begins at {instant_text(held.start_ms)}"
        raise NotFoundError(f"no window begins at {instant_text(start_ms) or start_ms}", hint=hint)
    return found


def _several(target: Target, body: Mapping[str, Any], partitions: int) -> OfSeveral:
    for name in body:
        if name not in ("keys", "from", "to", "latest", "limit"):
            hint = "known: keys, from, to, latest, limit"
            raise InvalidInputError(f"{name} is not a member of this body", field=name, hint=hint)
    keys, latest, limit = body.get("keys"), body.get("latest", False), body.get("limit", LIMIT)
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        hint = f"a list of 1 to {MAX_KEYS} objects"
        raise InvalidInputError("keys must be a list of keys", field="keys", hint=hint)
    if not isinstance(latest, bool):
        raise InvalidInputError("latest must be true or false", field="latest", hint="false by default")
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise InvalidInputError(
            f"limit must be from 1 to {MAX_LIMIT}", field="limit", hint="rows of each key"
        )
    if not latest and "limit" in body and limit * len(keys) > MAX_ROWS:
        hint = f"limit times keys may be {MAX_ROWS} at most"
        raise InvalidInputError("that may be too many rows", field="limit", hint=hint)
    if not latest and "limit" not in body:
        limit = min(limit, max(1, MAX_ROWS // len(keys)))
    groups = [target.parts.of_values(key) for key in keys]
    return OfSeveral(target, groups, partitions, _span(target, body), latest=latest, limit=limit)
