"""Changes to a config table: compare-and-set by fencing, with the audit in the same transaction.

Every writer of one table uses the same transactional id: taking it fences the others, so what is read
after taking it cannot change before the commit (engine trap 13). A writer keeps the producer it took, and
as long as nobody fences it, it is the only one; whatever goes wrong, it takes the id anew and looks for
its own change before it tries again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka.errors import KafkaError

from fleet.errors import PermanentError, TransientError
from fleet.lane.batches import Batches
from fleet.lane.bounded import background_done
from fleet.lane.clients import STOP_LIMIT_S
from fleet.lane.effects import Emit
from fleet.lane.errors import Lost
from fleet.lane.topics import Topics
from fleet.lane.transaction import Transactor
from tables.audit import seal
from tables.log import LogReader, View

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aiokafka import ConsumerRecord

    from fleet.lane.config import LaneConfig
    from fleet.lane.transaction import Written
    from tables.access import Actor

log = logging.getLogger(__name__)

CHANGE_LIMIT_S = 15.0
SEEN_LIMIT_S = 10.0
SEEN_POLL_S = 0.002
JITTER_S = (0.01, 0.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One row to be written.

    Attributes:
        name: Key of the row.
        action: What it is in the audit, e.g. ``update``.
        after: The new row, JSON values alone; has its ``version``.
        outputs: Records for other topics, written in the same transaction.
    """

    name: str
    action: str
    after: Mapping[str, Any]
    outputs: Sequence[Emit] = ()


Decide = Callable[[View], Awaitable[Sequence[Write]]]


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change wrote.

    Attributes:
        writes: The rows, in order; empty where there was nothing to do.
        offset: Where the table stood: the offset after the last row.
        change_id: Id of the change in the audit.
        ends: Offset after the last record written, by (topic, partition); empty where Kafka did not tell.
    """

    writes: tuple[Write, ...] = ()
    offset: int = 0
    change_id: str = ""
    ends: Mapping[tuple[str, int], int] = field(default_factory=dict)


class ConfigLog:
    """One config table and its audit.

    Args:
        config: How to reach Kafka.
        topic: Compacted topic of one partition.
        audit: Topic of one partition, kept for ever.
    """

    def __init__(self, config: LaneConfig, topic: str, audit: str) -> None:
        self.topic = topic
        self.audit = audit
        self._config = config
        self._reader = LogReader(config, topic, audit)
        self._topics = Topics(config)
        self._transactor: Transactor | None = None
        self._changing = asyncio.Lock()

    async def view(self) -> View:
        """Return the table as it stands after the last commit before this call.

        Raises:
            TransientError: Kafka does not answer.
        """
        return await self._reader.view()

    def records(self, name: str | None = None) -> AsyncGenerator[ConsumerRecord, None]:
        """Yield the records of the audit, of one row alone where a name is given."""
        return self._reader.records(name)

    async def stop(self) -> None:
        """Close all connections; the log can be used again."""
        self._give_up()
        self._reader.forget()
        await self._topics.close()
        await background_done(STOP_LIMIT_S)

    async def change(self, decide: Decide, actor: Actor, reason: str = "") -> Changed:
        """Write what `decide` makes of the table, atomically, and return it once it can be read.

        Args:
            decide: Gets the table; returns the rows to write, none where there is nothing to do. May be
                called again with a newer table, and may raise to refuse.
            actor: Who changes it.
            reason: Why, for the audit.

        Raises:
            PermanentError: A row is larger than its topic takes.
            TransientError: Other writers, or Kafka, kept it from getting through in time.
        """
        until = time.monotonic() + CHANGE_LIMIT_S
        try:
            async with asyncio.timeout(CHANGE_LIMIT_S):
                await self._changing.acquire()
        except TimeoutError:
            raise self._busy(None) from None
        try:
            return await self._change(decide, actor, reason, until)
        finally:
            self._changing.release()

    async def _change(self, decide: Decide, actor: Actor, reason: str, until: float) -> Changed:
        change_id, tried = uuid.uuid4().hex, None
        while True:
            try:
                view, writes = await self._decided(decide, change_id, tried)
                if writes is None and tried is not None:
                    return tried
                if not writes:
                    return Changed(offset=view.offset)
                tried = Changed(tuple(writes), view.offset + len(writes), change_id)
                await self._topics.ensure({each.topic for write in writes for each in write.outputs})
                ends = await self._commit(self._batches(view, tried, actor, reason), tried)
            except (Lost, KafkaError, TransientError) as error:
                self._give_up()
                if tried is None and isinstance(error, TransientError):
                    raise
                log.info("%s: a change is tried again: %s", self.topic, error)
                if time.monotonic() > until:
                    raise self._busy(tried) from error
                await asyncio.sleep(random.uniform(*JITTER_S))  # noqa: S311 - jitter
            else:
                return replace(tried, ends=ends)

    async def _decided(
        self, decide: Decide, change_id: str, tried: Changed | None
    ) -> tuple[View, Sequence[Write] | None]:
        """Return the table under the fence and what to write into it; None where `tried` is in it."""
        view = await self._reader.view()
        writes: Sequence[Write] | None = None
        if tried is None:
            # What is refused, or is so already, by what is read without the fence disturbs nobody.
            writes = await decide(view)
            if not writes or self._transactor is not None:
                return view, writes
        await self._fence()
        newer = await self._reader.view()
        if change_id in newer.changes:
            return newer, None
        if writes is not None and (newer.offset, newer.number) == (view.offset, view.number):
            return newer, writes
        return newer, await decide(newer)

    async def _fence(self) -> None:
        await self._topics.ensure([self.topic, self.audit])
        name = f"{self.topic}-writer"
        self._transactor = Transactor(self._config, name, name)
        await self._transactor.fence()

    async def _commit(self, batches: Batches, tried: Changed) -> Written:
        transactor = self._transactor
        if transactor is None:
            raise Lost("the producer was given up meanwhile")
        try:
            ends = await transactor.commit(batches, {})
        except BaseException:
            # Also when cancelled: what becomes of it is not known, and it is never used again.
            self._give_up()
            raise
        await self._seen(tried)
        return ends

    async def _seen(self, tried: Changed) -> None:
        """Wait until the change can be read: Kafka answers a commit before it has written its markers."""
        until = time.monotonic() + SEEN_LIMIT_S
        while True:
            view = await self._reader.view()
            if tried.change_id in view.changes and view.offset >= tried.offset:
                return
            if time.monotonic() > until:
                raise Lost("the change cannot be read back")
            await asyncio.sleep(SEEN_POLL_S)

    def _batches(self, view: View, tried: Changed, actor: Actor, reason: str) -> Batches:
        try:
            return self._encoded(view, tried, actor, reason)
        except orjson.JSONEncodeError as error:
            what = f"{tried.writes[0].name} holds what JSON has not: {error}"
            raise PermanentError(what, reason="not_json", hint="use shorter numbers and valid text") from None

    def _encoded(self, view: View, tried: Changed, actor: Actor, reason: str) -> Batches:
        batches = Batches()
        common = {
            "change_id": tried.change_id,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "actor": {"id": actor.id, "team": actor.team, "roles": list(actor.roles)},
            "reason": reason,
        }
        previous_hash = view.last_hash
        for index, write in enumerate(tried.writes):
            before = _readable(view.rows[write.name].value) if write.name in view.rows else None
            record = {
                **common,
                "action": write.action,
                "name": write.name,
                "version_before": before.get("version") if isinstance(before, dict) else None,
                "version_after": write.after.get("version"),
                "before": before,
                "after": write.after,
                "config_offset": view.offset + index,
            }
            sealed = seal(record, number=view.number + index + 1, previous_hash=previous_hash)
            previous_hash = sealed["hash"]
            self._add(batches, _row(self.topic, write.name, write.after))
            self._add(batches, _row(self.audit, write.name, sealed))
            for output in write.outputs:
                self._add(batches, output, what=write.name)
        batches.close()
        return batches

    def _add(self, batches: Batches, record: Emit, what: str = "") -> None:
        info = self._topics.get(record.topic)
        if info is None:
            raise Lost(f"topic {record.topic} is not known")
        where, key = record.partition or 0, record.key
        if not batches.add(record.topic, info, where, key, record.value, record.headers):
            limit, name = info.max_message_bytes, what or (key or b"").decode()
            raise PermanentError(
                f"{name} is too large for {record.topic}, which takes {limit:,} bytes",
                reason="too_large",
                hint="make it smaller",
            )

    def _give_up(self) -> None:
        transactor, self._transactor = self._transactor, None
        if transactor is not None:
            transactor.discard()

    def _busy(self, tried: Changed | None) -> TransientError:
        if tried is None:
            message, hint = f"{self.topic} could not be changed", "others are changing it: try again"
        else:
            message, hint = f"whether {self.topic} was changed is not known", "look before you try again"
        return TransientError(message, hint=hint)


def _row(topic: str, name: str, content: Mapping[str, Any]) -> Emit:
    return Emit(topic, name.encode(), orjson.dumps(content))


def _readable(value: bytes) -> Any:
    """Return a row as JSON; one that was written past the log as text."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value.decode(errors="replace")
