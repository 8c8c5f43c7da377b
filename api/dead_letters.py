"""Dead letters over HTTP: list, look at one, edit a copy, redrive, purge."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from aiohttp import web

from api.asking import answer, flag_of, number_of, object_of, query_of, reason_of
from api.auth import ACTOR
from tables.dead_letters import LetterId, Selection
from tables.dead_letters.editing import Edit, header_text
from tables.dead_letters.jobs import DEFAULT_RATE, Jobs
from tables.dead_letters.payload import shown_key
from tables.dead_letters.service import MAX_PAGE, PAGE, Contents, DeadLetters
from tables.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

PATH: Final = "/dead-letters"
FILTERS: Final = ("agent", "reason", "step", "rule", "source", "state")
TIMES: Final = ("since_ms", "until_ms")
MOST_NAMED: Final = 10_000


class Redrives(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``POST /dead-letters/redrives`` takes: a selection, or letters by name.

    Attributes:
        selection: Which letters; an empty object for all.
        letters: Names ``agent/partition/offset``, in place of a selection.
        rate: Letters a second, at most.
        reason: Why, for the audit.
    """

    selection: Selection | None = None
    letters: list[str] | None = None
    rate: float = DEFAULT_RATE
    reason: str = ""


class Purge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``POST /dead-letters/purge`` takes.

    Attributes:
        selection: Which letters; an empty object for all.
        letters: Names ``agent/partition/offset``, in place of a selection.
        reason: Why, for the audit.
    """

    selection: Selection | None = None
    letters: list[str] | None = None
    reason: str


class DeadLetterHandlers:
    """The handlers of ``/dead-letters``.

    Args:
        letters: The dead letters.
        jobs: Redrives of many of them.
    """

    def __init__(self, letters: DeadLetters, jobs: Jobs) -> None:
        self._letters = letters
        self._jobs = jobs

    def add_routes(self, app: web.Application) -> None:
        """Add all paths; what they answer is told by each handler."""
        one, job = f"{PATH}/{{agent}}/{{partition}}/{{offset}}", f"{PATH}/redrives/{{job}}"
        router = app.router
        router.add_get(PATH, self.list)
        router.add_post(f"{PATH}/purge", self.purge)
        router.add_post(f"{PATH}/redrives", self.redrive_all)
        router.add_get(job, self.job)
        router.add_delete(job, self.cancel)
        router.add_get(one, self.get)
        router.add_put(f"{one}/copy", self.edit)
        router.add_post(f"{one}/redrive", self.redrive)
        router.add_post(f"{one}/purge", self.purge_one)

    async def list(self, request: web.Request) -> web.Response:
        """Give one page, the newest first: `FILTERS` and `TIMES` filter, ``after`` and ``limit`` page."""
        query = query_of(request, *FILTERS, *TIMES, "after", "limit")
        limit = number_of(query, "limit", default=PAGE, most=MAX_PAGE)
        page = await self._letters.page(
            _selection(query), request[ACTOR], after=query.get("after", ""), limit=limit
        )
        return answer({"letters": page.letters, "after": page.after})

    async def get(self, request: web.Request) -> web.Response:
        """Give one letter; with ``payload=true`` what is in it too, which the audit records."""
        query = query_of(request, "payload", "reason")
        where, actor = _where(request), request[ACTOR]
        if not flag_of(query, "payload"):
            return answer({"letter": await self._letters.get(where, actor)})
        return answer(contents(await self._letters.look(where, actor, reason_of(query))))

    async def edit(self, request: web.Request) -> web.Response:
        """Write a copy with another ``key``, ``payload`` or ``headers``: 201, 409 where it is too late."""
        reason = reason_of(query_of(request, "reason"))
        wanted = converted(await object_of(request), Edit)
        copy = await self._letters.edit(_where(request), wanted, request[ACTOR], reason)
        prefix = request.path.split(f"{PATH}/", 1)[0]
        location = f"{prefix}{PATH}/{copy.id.name}"
        return answer({"letter": copy}, status=HTTPStatus.CREATED, Location=location)

    async def redrive(self, request: web.Request) -> web.Response:
        """Send a letter to its agent again, once: 409 where that was done before."""
        reason = reason_of(query_of(request, "reason"))
        return answer({"letter": await self._letters.redrive(_where(request), request[ACTOR], reason)})

    async def redrive_all(self, request: web.Request) -> web.Response:
        """Begin to redrive a selection at a rate: 202 with the job."""
        query_of(request)
        asked = converted(await object_of(request), Redrives)
        wanted = _wanted(asked.selection, asked.letters)
        job = self._jobs.start(wanted, request[ACTOR], rate=asked.rate, reason=asked.reason)
        location = f"{request.path.rstrip('/')}/{job.id}"
        return answer(job, status=HTTPStatus.ACCEPTED, Location=location)

    async def job(self, request: web.Request) -> web.Response:
        """Give how far a job of this process is."""
        query_of(request)
        return answer(self._jobs.get(request.match_info["job"]))

    async def cancel(self, request: web.Request) -> web.Response:
        """End a job after the letters in hand, and give how far it came."""
        query_of(request)
        return answer(await self._jobs.cancel(request.match_info["job"], request[ACTOR]))

    async def purge(self, request: web.Request) -> web.Response:
        """Hide a selection for good; a reason is needed."""
        query_of(request)
        asked = converted(await object_of(request), Purge)
        wanted = _wanted(asked.selection, asked.letters)
        return answer(asdict(await self._letters.purge(wanted, request[ACTOR], asked.reason)))

    async def purge_one(self, request: web.Request) -> web.Response:
        """Hide a letter for good; a reason is needed."""
        reason = reason_of(query_of(request, "reason"))
        return answer(asdict(await self._letters.purge([_where(request)], request[ACTOR], reason)))


def contents(found: Contents) -> dict[str, Any]:
    """Return a letter with what is in it, as JSON has it."""
    letter, content, payload = found
    headers = [[name, header_text(value)] for name, value in content.headers]
    return {"letter": letter, "key": shown_key(content.key), "payload": payload, "headers": headers}


def converted(document: Any, kind: type[T]) -> T:
    """Return a document as what it must be.

    Raises:
        InvalidInputError: It is not; the message names the member.
    """
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(str(error), hint="see the description of this path") from None


def _wanted(selection: Selection | None, letters: list[str] | None) -> Selection | list[LetterId]:
    if (selection is None) == (letters is None):
        raise InvalidInputError("give either selection or letters", field="selection", hint="{} is for all")
    if letters is None:
        assert selection is not None  # noqa: S101 - one of them is given
        return selection
    if len(letters) > MOST_NAMED:
        message = f"letters are more than {MOST_NAMED}"
        raise InvalidInputError(message, field="letters", hint="use a selection")
    return [LetterId.parse(each) for each in letters]


def _selection(query: Mapping[str, str]) -> Selection:
    named: dict[str, Any] = {name: query[name] for name in FILTERS if name in query}
    named |= {name: number_of(query, name) for name in TIMES if name in query}
    return Selection(**named)


def _where(request: web.Request) -> LetterId:
    name = "/".join(request.match_info[part] for part in ("agent", "partition", "offset"))
    try:
        return LetterId.parse(name)
    except InvalidInputError:
        raise NotFoundError(f"no dead letter {name[:80]}", hint="see the list") from None
