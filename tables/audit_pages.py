"""Reading an audit: the newest records of a kind, and whether the whole chain holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.lane.reading import read
from tables.audit import Chain, Verdict

if TYPE_CHECKING:
    from fleet.lane.config import LaneConfig

PAGE = 100
MAX_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records; what is empty does not matter.

    Attributes:
        name: Name of what was changed.
        actor: Id of who did it.
        action: What was done.
        before: Number that they are before; 0 for all.
    """

    name: str = ""
    actor: str = ""
    action: str = ""
    before: int = 0

    def takes(self, record: Mapping[str, Any]) -> bool:
        """Return whether it wants `record`."""
        who = record.get("actor")
        actor = who.get("id") if isinstance(who, Mapping) else None
        number = record.get("number")
        return (
            self.name in ("", record.get("name"))
            and self.actor in ("", actor)
            and self.action in ("", record.get("action"))
            and (not self.before or (isinstance(number, int) and number < self.before))
        )


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Records of an audit, the newest first.

    Attributes:
        records: The records.
        before: Number before which the next page begins; 0 on the last one.
        chain: What checking all records of the audit found.
    """

    records: list[dict[str, Any]]
    before: int
    chain: Verdict


async def page(config: LaneConfig, topic: str, wanted: Wanted, *, limit: int = PAGE) -> AuditPage:
    """Return the newest records that `wanted` takes, after reading and checking the whole audit.

    Raises:
        FatalError: The topic does not exist.
        TransientError: Kafka does not answer.
    """
    chain = Chain()
    kept: deque[dict[str, Any]] = deque(maxlen=min(limit, MAX_PAGE) + 1)
    async with aclosing(read(config, [topic])) as records:
        async for record in records:
            found = chain.add(record.value)
            if wanted.takes(found):
                kept.append(found)
    items = list(reversed(kept))[:limit]
    more = len(kept) > len(items)
    return AuditPage(items, items[-1]["number"] if more else 0, chain.verdict())
