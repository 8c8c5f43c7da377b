"""The shell of the router: records in, effects out, around the pure decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from agents.router.deciding import RULE_HEADER, Decider
from agents.router.domain.routing import RuleSet
from fleet.errors import PermanentError
from fleet.lane import Chunk, DeadLetter, Effect, Emit, ForwardAll, Put, Record, State, value_prefixes
from fleet.lane.effects import Headers
from schemas.codec import HEADER_BYTES, Codec, schema_ids
from tables.routes.errors import RuleError
from tables.routes.rule import Rule, parse_rule

COUNTS = "routed"
EVENTS = "(events)"
MATCHED = "(matched)"
UNMATCHED = "(unmatched)"
DEAD = "(dead-letters)"


def parse_row(key: str, value: bytes) -> Rule:
    """Return the rule in a row of the rules topic.

    Raises:
        RuleError: The rule is refused, or is in the row of another one, which it would hide.
    """
    rule = parse_rule(value)
    if rule.name != key:
        message = f"rule {rule.name!r} is in the row of {key!r}"
        raise RuleError(message, field="name", hint="write it under its own name")
    return rule


def active_rules(rows: Mapping[str, Any]) -> RuleSet:
    """Return the snapshot of the rules that the router decides by."""
    return RuleSet.of(rows.values())


class Router:
    """Copies each event to the topics of the rules that match it.

    Args:
        codec: Decodes events, where a rule reads their fields.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._decider: Decider | None = None

    async def prepare(self, chunk: Chunk) -> None:
        """Look up the chunk's schemas."""
        await self._codec.ensure(schema_ids(value_prefixes(chunk, HEADER_BYTES)))

    def process(self, chunk: Chunk, state: State) -> Iterator[Effect]:
        """Copy events to the topics that the teams' rules name."""
        decider = self._decider
        if decider is None or decider.rules is not state.config:
            decider = self._decider = Decider(state.config, self._codec)
        counts: Counter[str] = Counter()
        groups: dict[str, tuple[list[Record], list[Headers]]] = {}
        decide = decider.decide
        for record in chunk:
            try:
                decision, copies, is_copy = decide(record)
            except PermanentError as error:
                counts[DEAD] += 1
                yield DeadLetter(record, error.reason, "decode", error.message)
                continue
            if is_copy:
                # In order with what is forwarded before it.
                yield from _forwarded(groups)
                groups = {}
            for topic, label, headers in copies:
                counts[label] += 1
                if is_copy:
                    yield _relabelled(topic, record, headers)
                elif (group := groups.get(topic)) is not None:
                    group[0].append(record)
                    group[1].append(headers)
                else:
                    groups[topic] = [record], [headers]
            for failure in decision.errors:
                rule = f"{failure.rule}@{failure.version}"
                yield DeadLetter(record, "condition_error", "condition", f"rule {rule}: {failure.reason}")
            counts[MATCHED if copies else DEAD if decision.errors else UNMATCHED] += 1
        yield from _forwarded(groups)
        counts[EVENTS] += len(chunk)
        for name, count in counts.items():
            key = f"{state.partition}/{name}"
            yield Put(COUNTS, key, state.get(COUNTS, key, 0) + count)


def _forwarded(groups: Mapping[str, tuple[list[Record], list[Headers]]]) -> Iterator[ForwardAll]:
    for topic, (records, added) in groups.items():
        yield ForwardAll(topic, records, added)


def _relabelled(topic: str, record: Record, headers: tuple[tuple[str, bytes]]) -> Emit:
    """Return the copy of a copy: only the rule that routed it last is named."""
    kept = (header for header in record.headers if header[0] != RULE_HEADER)
    return Emit(topic, record.key, record.value, (*kept, *headers), None, record)
