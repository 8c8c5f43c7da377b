"""Why an event went where it did: each rule's verdict, now and when it was routed, and what became of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from yarl import URL

from agents.router.counting import COUNTS, SNAPSHOT
from agents.router.explaining import finding
from agents.router.explaining.history import rules_at
from agents.router.explaining.tracing import progress, trace
from agents.router.explaining.verdicts import attributes_of, explained
from agents.router.route import Router
from fleet.cel.errors import EvaluationError
from fleet.errors import PermanentError
from schemas.codec import Codec
from tables.routes.projections import compile_key
from tables.routes.target import TargetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from datetime import datetime

    from agents.router.domain.timeline import Timeline
    from fleet.lane import LaneConfig, Record
    from schemas.codec import SchemaSource
    from tables.routes.rule import Rule

Said = dict[str, Any]

AT_A_TIME: Final = 2
ASK_LIMIT_S: Final = 5.0


class Explainer:
    """Explains events.

    Args:
        config: How to reach Kafka.
        registry: The schema registry.
        sources: Topics that the router reads.
        group: The router's consumer group.
        timeline: Gives the rules as they are.
        worker_url: Base URL of a router worker, which knows by which rules events were routed.
    """

    def __init__(
        self,
        config: LaneConfig,
        registry: SchemaSource,
        sources: Collection[str],
        *,
        group: str,
        timeline: Callable[[], Awaitable[Timeline]],
        worker_url: str,
    ) -> None:
        self._config = config
        self._codec = Codec(registry)
        self._sources = sources
        self._group = group
        self._timeline = timeline
        self._worker_url = URL(worker_url)
        self._turns = asyncio.Semaphore(AT_A_TIME)

    async def at(self, topic: str, partition: int, offset: int) -> Said:
        """Explain the event at these coordinates.

        Raises:
            NotFoundError: There is none.
            PermanentError: What is asked makes no sense.
            TransientError: Kafka or the registry does not answer.
        """
        async with self._turns:
            record = await finding.at(self._config, self._sources, topic, partition, offset)
            return await self._explain(record)

    async def by_id(
        self, event_id: str, source: str = "", since: datetime | None = None, until: datetime | None = None
    ) -> Said:
        """Explain the newest event of an id; see `finding.by_id` and `at`."""
        async with self._turns:
            search = await finding.by_id(self._config, self._sources, event_id, source, since, until)
            return {**await self._explain(search.found[0]), "search": search.report()}

    async def _explain(self, record: Record) -> Said:
        now = await self._timeline()
        routing = await progress(self._config, self._group, record)
        then, reason = None, "it is not routed yet"
        if routing["state"] == "routed":
            offset, reason = await self._offset_of(record)
            then = None if offset is None else await self._rules_at(offset, now)
        for timeline in (now, then):
            if timeline is not None:
                await self._prepare(timeline, record)
        found = await trace(self._config, record, self._keys(record, now, then))
        stamped = {copy["config_offset"] for copy in found.copies} - {None}
        if stamped and (then is None or then.offset not in stamped):
            # What its copies say is sure: with several topics the first events of a snapshot are not.
            then = await self._rules_at(max(stamped), now)
            await self._prepare(then, record)
        return {
            "event": _event(record),
            "routing": routing,
            "now": explained(now, record, self._codec),
            "as_routed": {"reason": reason} if then is None else self._as_routed(then, now, record),
            "copies": found.copies,
            "dead_letters": found.dead_letters,
            "searched": found.searched,
        }

    async def _prepare(self, timeline: Timeline, record: Record) -> None:
        """Look up the schemas of an event and of its copies."""
        await Router(self._codec, lambda: timeline).prepare([record])

    def _as_routed(self, then: Timeline, now: Timeline, record: Record) -> Said:
        if then.offset == now.offset:
            return {"config_offset": then.offset, "same_as_now": True}
        return {**explained(then, record, self._codec), "same_as_now": False}

    async def _rules_at(self, offset: int, now: Timeline) -> Timeline:
        return now if offset == now.offset else await rules_at(self._config, offset)

    async def _offset_of(self, record: Record) -> tuple[int | None, str]:
        """Return the offset of the rules table by which an event was routed, or why it is not known."""
        try:
            starts = await self._starts(record.partition)
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError, KeyError, TypeError):
            return None, f"no router answers at {self._worker_url}: it knows by which rules"
        offsets = [
            config for topic, first, config in starts if topic == record.topic and first <= record.offset
        ]
        if not offsets:
            return None, "it was routed before the oldest change of rules that is remembered"
        return offsets[-1], ""

    async def _starts(self, partition: int) -> list[tuple[str, int, int]]:
        """Return where snapshots of rules begin in a partition, from whichever worker holds it."""
        key = URL.build(path=f"{partition}/{SNAPSHOT}").raw_path.replace("/", "%2F")
        url = URL(f"{self._worker_url}/table/{COUNTS}/{key}/", encoded=True)
        timeout = aiohttp.ClientTimeout(total=ASK_LIMIT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
            session.get(url) as answer,
        ):
            found: list[tuple[str, int, int]] = orjson.loads(await answer.read())["starts"]
            return found

    def _keys(self, record: Record, *timelines: Timeline | None) -> dict[str, set[bytes | None]]:
        """Return keys that copies may have, by the topics that they may be in, by rules of any state."""
        found: dict[str, set[bytes | None]] = {}
        attributes = attributes_of(record)
        event_type = attributes.get("type") or record.topic
        rules = [rule for timeline in timelines if timeline is not None for rule in timeline.rules]
        for rule in rules:
            if not rule.looks_at(event_type):
                continue
            key = self._key(rule, record, attributes)
            for template in rule.templates:
                try:
                    found.setdefault(template.topic(attributes), set()).add(key)
                except TargetError:
                    continue
        return found

    def _key(self, rule: Rule, record: Record, attributes: Mapping[str, str]) -> bytes | None:
        key = compile_key(rule)
        if key is None:
            return record.key
        try:
            event = self._codec.project(record.value or b"", key.fields) if key.fields else {}
            return key.of(attributes, event)
        except (EvaluationError, PermanentError):
            return record.key


def _event(record: Record) -> Said:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "published_ms": record.timestamp,
        "attributes": attributes_of(record),
    }
