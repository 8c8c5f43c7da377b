"""The rules as they were: rebuilt from their table, as far as it is not compacted, and from its audit."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from agents.router.domain.timeline import Timeline
from fleet.errors import PermanentError
from fleet.lane.reading import read
from tables.routes.kind import AUDIT, TOPIC
from tables.routes.rule import Rule, parse_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.lane import LaneConfig, Record

BEFORE_ALL: Final = -1


class _Row(NamedTuple):
    """A rule as of its offset; None where it was removed."""

    offset: int
    rule: Rule | None


class History:
    """Finds the rules at one moment in the records of their table and of its audit, in any order of the two.

    Args:
        offset: Next offset of the table then.
    """

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._rows: dict[str, _Row] = {}

    def take(self, record: Record) -> None:
        """Take the next record of the table, or of its audit."""
        if record.topic == AUDIT:
            self._audited(record.value)
        elif record.offset < self._offset:
            self._newest((record.key or b"").decode(errors="replace"), record.offset, record.value)

    def timeline(self) -> Timeline:
        """Return the rules.

        Raises:
            RuleError: Together they make no set of rules.
        """
        return Timeline.of([row.rule for row in self._rows.values() if row.rule is not None], self._offset)

    def _audited(self, value: bytes | None) -> None:
        """Take what an audit record says of a row: what it became, or what it was until then."""
        try:
            record: Any = orjson.loads(value or b"")
            name, at, before, after = (record[key] for key in ("name", "config_offset", "before", "after"))
            if at < self._offset:
                self._newest(name, at, after)
            elif isinstance(before, dict) and name not in self._rows:
                # Written before there was an audit: its own row is compacted away.
                self._newest(name, BEFORE_ALL, before)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return  # Written past the log: it says nothing.

    def _newest(self, name: str, offset: int, content: bytes | Mapping[str, Any] | None) -> None:
        known = self._rows.get(name)
        if known is not None and known.offset > offset:
            return
        try:
            rule = None if content is None else parse_rule(content)
        except PermanentError:
            return  # Refused: the last good version stayed active.
        if rule is None or rule.name == name:
            self._rows[name] = _Row(offset, rule)


async def rules_at(config: LaneConfig, offset: int) -> Timeline:
    """Return the rules by which events were decided at a next offset of their table.

    Raises:
        RuleError: Together they make no set of rules.
        TransientError: Kafka does not answer.
    """
    history = History(offset)
    async with aclosing(read(config, [TOPIC, AUDIT])) as records:
        async for record in records:
            history.take(record)
    return history.timeline()
