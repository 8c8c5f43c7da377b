"""The rules as they were: rebuilt from their table, as far as it is not compacted, and from its audit."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from agents.router.domain.timeline import Timeline
from fleet.errors import PermanentError
from fleet.lane.reading import read
from tables.routes.kind import AUDIT, TOPIC
from tables.routes.rule import Rule, parse_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.lane import LaneConfig

BEFORE_ALL = -1


class _Row(NamedTuple):
    """A row as of its offset; None where it was removed."""

    offset: int
    content: bytes | Mapping[str, Any] | None


async def rules_at(config: LaneConfig, offset: int) -> Timeline:
    """Return the rules by which events were decided at a next offset of their table.

    Raises:
        RuleError: Together they make no set of rules.
        TransientError: Kafka does not answer.
    """
    rows: dict[str, _Row] = {}
    async with aclosing(read(config, [TOPIC, AUDIT])) as records:
        async for record in records:
            if record.topic == AUDIT:
                _audited(rows, record.value, offset)
            elif record.offset < offset:
                _newest(rows, (record.key or b"").decode(errors="replace"), _Row(record.offset, record.value))
    found = (_parsed(row) for row in rows.values())
    return Timeline.of([rule for rule in found if rule is not None], offset)


def _audited(rows: dict[str, _Row], value: bytes | None, offset: int) -> None:
    """Take what an audit record says of a row: what it became, or what it was until then."""
    try:
        record: Any = orjson.loads(value or b"")
        name, at, before, after = (record[key] for key in ("name", "config_offset", "before", "after"))
        if at < offset:
            _newest(rows, name, _Row(at, after))
        elif isinstance(before, dict):
            rows.setdefault(name, _Row(BEFORE_ALL, before))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return  # Written past the log: it says nothing.


def _newest(rows: dict[str, _Row], name: str, row: _Row) -> None:
    known = rows.get(name)
    if known is None or known.offset <= row.offset:
        rows[name] = row


def _parsed(row: _Row) -> Rule | None:
    if row.content is None:
        return None
    try:
        return parse_rule(row.content)
    except PermanentError:
        return None  # No router could decide by it.
