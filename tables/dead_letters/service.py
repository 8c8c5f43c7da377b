"""What can be done with dead letters; each action once, whoever else asks for it at the same time.

State and what it causes, the record in the agent's inbox or an edited copy, are written in one
transaction with the audit, by the fence of `tables.config_log`: one over all gateways and commands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleet.errors import PermanentError
from schemas.catalogue import load_catalogue
from tables.access import KEEPERS, READERS, Actor
from tables.config_log import ConfigLog, Write
from tables.dead_letters.editing import Edit, edited
from tables.dead_letters.letter import (
    TOPIC_PREFIX,
    Letter,
    LetterId,
    State,
    letter_of,
    original_headers,
    status_of,
)
from tables.dead_letters.payload import GONE, Payload, shown
from tables.dead_letters.redriving import Content, Sorter
from tables.dead_letters.scanning import Page, newest, oldest_first
from tables.dead_letters.selection import Selection
from tables.dead_letters.status import is_open, refuse_done, row_of, where_of, write_of
from tables.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from fleet.lane.config import LaneConfig
    from schemas.registry import Registry
    from tables.log import View

STATUS: Final = "fleet.dead-letter-status"
AUDIT: Final = "fleet.audit.dead-letters"
PAGE: Final = 50
MAX_PAGE: Final = 500
AT_ONCE: Final = 100
"""Letters that one transaction is about."""

Contents = tuple[Letter, Content, Payload]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of letters that were to be redriven or purged.

    Attributes:
        done: How many were.
        skipped: How many had been dealt with before.
        refused: Why others cannot be, by letter.
    """

    done: int
    skipped: int
    refused: Mapping[str, str]


class DeadLetters:
    """The dead letters of all agents of the catalogue.

    Args:
        config: How to reach Kafka.
        registry: The schema registry.
    """

    def __init__(self, config: LaneConfig, registry: Registry) -> None:
        self.log = ConfigLog(config, STATUS, AUDIT)
        self._config = config
        self._registry = registry
        self._sorter = Sorter(config)

    async def stop(self) -> None:
        """Close all connections."""
        await self._sorter.stop()
        await self.log.stop()

    async def page(self, wanted: Selection, actor: Actor, *, after: str = "", limit: int = PAGE) -> Page:
        """Return one page of the letters that `wanted` takes, the newest first.

        Raises:
            ForbiddenError: `actor` may not see them.
            NotFoundError: There is no such agent.
            InvalidInputError: `after` or the state makes no sense.
            TransientError: Kafka does not answer.
        """
        actor.require(READERS, "see dead letters")
        topics, rows = self._topics(wanted), (await self.log.view()).rows
        return await newest(self._config, topics, rows, wanted, after=after, limit=min(limit, MAX_PAGE))

    async def count(self, wanted: Selection, actor: Actor) -> dict[tuple[str, str], int]:
        """Return how many letters `wanted` takes, by agent and reason.

        Raises:
            ForbiddenError: `actor` may not see them.
            NotFoundError: There is no such agent.
            TransientError: Kafka does not answer.
        """
        actor.require(READERS, "see dead letters")
        found: Counter[tuple[str, str]] = Counter()
        async with aclosing(self.selected(wanted)) as records:
            async for _, letter in records:
                found[letter.agent, letter.reason] += 1
        return dict(found)

    async def get(self, where: LetterId, actor: Actor) -> Letter:
        """Return a letter, without what is in it.

        Raises:
            ForbiddenError: `actor` may not see it.
            NotFoundError: There is none.
            TransientError: Kafka does not answer.
        """
        actor.require(READERS, "see dead letters")
        return letter_of(await self._record(where), (await self.log.view()).rows)

    async def look(self, where: LetterId, actor: Actor, reason: str = "") -> Contents:
        """Return a letter with what is in it, as far as it is still there, once the audit says who looked.

        Raises:
            ForbiddenError: `actor` may not look into it.
            NotFoundError: There is none.
            TransientError: Kafka or the registry does not answer.
        """
        actor.require(KEEPERS, "look into dead letters")
        record = await self._record(where)
        letter = letter_of(record, (await self.log.view()).rows)
        try:
            content = await self._sorter.content(record, letter)
        except PermanentError as error:
            content = Content(record.key, None, original_headers(record))
            payload = Payload(format=GONE, content=str(error))
        else:
            payload = await shown(content.value, self._registry)

        async def decide(view: View) -> Sequence[Write]:
            row = status_of(view.rows, where) or {"state": State.OPEN}
            return [write_of(view.rows, where, "look", row)]

        await self.log.change(decide, actor, reason)
        return letter, content, payload

    async def edit(self, where: LetterId, edit: Edit, actor: Actor, reason: str = "") -> Letter:
        """Write a copy of an open letter with other content, and return it; the letter stays as it is.

        Raises:
            ForbiddenError: `actor` may not.
            NotFoundError: There is no such letter.
            ConflictError: It was edited, redriven or purged.
            InvalidInputError: The new content cannot be encoded.
            PermanentError: It is too large, or its payload is gone.
            TransientError: Kafka or the registry does not answer.
        """
        actor.require(KEEPERS, "edit dead letters")
        record = await self._record(where)
        letter = letter_of(record, (await self.log.view()).rows)
        old = await self._sorter.content(record, letter)
        new = await edited(old, edit, self._registry)
        copy = await self._sorter.copy(record, letter, new, is_rekeyed=new.key != old.key)

        async def decide(view: View) -> Sequence[Write]:
            refuse_done(view.rows, where)
            return [write_of(view.rows, where, "edit", row_of(State.EDITED, actor), copy)]

        changed = await self.log.change(decide, actor, reason)
        end = changed.ends.get((where.topic, where.partition))
        at = where.offset if end is None else end - 1
        if end is None:
            # Kafka confirmed it without saying where: it is the newest of that letter's copies.
            found = await self.page(Selection(agent=where.agent), actor, limit=MAX_PAGE)
            at = next((each.offset for each in found.letters if each.copy_of == where.name), at)
        return await self.get(where._replace(offset=at), actor)

    async def redrive(self, where: LetterId, actor: Actor, reason: str = "") -> Letter:
        """Send an open letter to its agent again, once, and return it.

        Raises:
            ForbiddenError: `actor` may not.
            NotFoundError: There is no such letter.
            ConflictError: It was redriven, edited or purged.
            PermanentError: It is too large for the inbox, or its payload is gone.
            TransientError: Kafka does not answer.
        """
        actor.require(KEEPERS, "redrive dead letters")
        record, rows = await self._record(where), (await self.log.view()).rows
        refuse_done(rows, where)
        emit = await self._sorter.redriven(record, rows)

        async def decide(view: View) -> Sequence[Write]:
            refuse_done(view.rows, where)
            return [write_of(view.rows, where, "redrive", row_of(State.REDRIVEN, actor), emit)]

        await self.log.change(decide, actor, reason)
        return letter_of(record, (await self.log.view()).rows)

    async def redrive_all(self, records: Sequence[ConsumerRecord], actor: Actor, reason: str = "") -> Outcome:
        """Send letters to their agents again, in one transaction, those that are open.

        Raises:
            ForbiddenError: `actor` may not.
            TransientError: Kafka does not answer.
        """
        actor.require(KEEPERS, "redrive dead letters")
        rows, emits, refused = (await self.log.view()).rows, {}, {}
        for record in records:
            where = where_of(record)
            if is_open(rows, where):
                try:
                    emits[where] = await self._sorter.redriven(record, rows)
                except PermanentError as error:
                    refused[where.name] = str(error)

        async def decide(view: View) -> Sequence[Write]:
            return [
                write_of(view.rows, where, "redrive", row_of(State.REDRIVEN, actor), emit)
                for where, emit in emits.items()
                if is_open(view.rows, where)
            ]

        done = len((await self.log.change(decide, actor, reason)).writes) if emits else 0
        return Outcome(done, len(records) - done - len(refused), refused)

    async def purge(self, wanted: Selection | Iterable[LetterId], actor: Actor, reason: str) -> Outcome:
        """Hide letters for good; what is in them stays in Kafka until its retention.

        Raises:
            ForbiddenError: `actor` may not.
            InvalidInputError: There is no reason.
            NotFoundError: There is no such letter or agent.
            TransientError: Kafka does not answer.
        """
        actor.require(KEEPERS, "purge dead letters")
        if not reason.strip():
            raise InvalidInputError("a purge needs a reason", field="reason", hint="say why, for the audit")
        done = skipped = 0
        batch: list[LetterId] = []
        async with aclosing(self._places(wanted)) as places:
            async for where in places:
                batch.append(where)
                if len(batch) == AT_ONCE:
                    done, skipped, batch = *await self._purged(batch, actor, reason, done, skipped), []
        if batch:
            done, skipped = await self._purged(batch, actor, reason, done, skipped)
        return Outcome(done, skipped, {})

    async def _places(self, wanted: Selection | Iterable[LetterId]) -> AsyncGenerator[LetterId, None]:
        if isinstance(wanted, Selection):
            async with aclosing(self.selected(wanted)) as records:
                async for _, letter in records:
                    yield letter.id
            return
        for where in wanted:
            await self._record(where)
            yield where

    async def _purged(
        self, batch: list[LetterId], actor: Actor, reason: str, done: int, skipped: int
    ) -> tuple[int, int]:
        async def decide(view: View) -> Sequence[Write]:
            return [
                write_of(view.rows, where, "purge", row_of(State.PURGED, actor))
                for where in batch
                if status_of(view.rows, where).get("state") != State.PURGED
            ]

        purged = len((await self.log.change(decide, actor, reason)).writes)
        return done + purged, skipped + len(batch) - purged

    async def selected(self, wanted: Selection) -> AsyncGenerator[tuple[ConsumerRecord, Letter], None]:
        """Yield the letters that `wanted` takes, partition by partition from the oldest, as of now.

        Raises:
            NotFoundError: There is no such agent.
            TransientError: Kafka does not answer.
        """
        topics, rows = self._topics(wanted), (await self.log.view()).rows
        async with aclosing(oldest_first(self._config, topics, wanted)) as records:
            async for record in records:
                letter = letter_of(record, rows)
                if wanted.takes(letter):
                    yield record, letter

    async def records(self, wanted: Iterable[LetterId]) -> AsyncGenerator[ConsumerRecord, None]:
        """Yield the records of these letters.

        Raises:
            NotFoundError: One of them does not exist.
            TransientError: Kafka does not answer.
        """
        for where in wanted:
            yield await self._record(where)

    async def _record(self, where: LetterId) -> ConsumerRecord:
        self._topics(Selection(agent=where.agent))
        return await self._sorter.record(where)

    def _topics(self, wanted: Selection) -> list[str]:
        if wanted.state and wanted.state not in tuple(State):
            states = ", ".join(State)
            raise InvalidInputError(f"{wanted.state!r} is no state", field="state", hint=f"use {states}")
        known = [name for name in load_catalogue().topics if name.startswith(TOPIC_PREFIX)]
        if not wanted.agent:
            return known
        if TOPIC_PREFIX + wanted.agent not in known:
            agents = ", ".join(sorted(name.removeprefix(TOPIC_PREFIX) for name in known))
            raise NotFoundError(f"no agent {wanted.agent!r} has dead letters", hint=f"use one of {agents}")
        return [TOPIC_PREFIX + wanted.agent]
