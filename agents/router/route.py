"""The shell of the router: records in, effects out, around the pure decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from agents.router.domain.routing import Decision, RuleSet, Target
from agents.router.domain.rule import Rule, RuleError, parse_rule
from fleet.errors import PermanentError
from fleet.lane import Chunk, DeadLetter, Effect, Emit, Put, Record, State
from schemas.codec import Codec, schema_ids

COUNTS = "routed"
EVENTS = "(events)"
MATCHED = "(matched)"
UNMATCHED = "(unmatched)"
DEAD = "(dead-letters)"
RULE_HEADER = "fleet_rule"


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

    async def prepare(self, chunk: Chunk) -> None:
        """Look up the chunk's schemas."""
        await self._codec.ensure(schema_ids(record.value for record in chunk))

    def process(self, chunk: Chunk, state: State) -> Iterator[Effect]:
        """Copy events to the topics that the teams' rules name."""
        rules: RuleSet = state.config
        counts: Counter[str] = Counter()
        labels: dict[str, tuple[str, bytes]] = {}
        wanted = {f"ce_{name}": name for name in (*rules.attributes, "type")} | {RULE_HEADER: ""}
        for record in chunk:
            attributes = {
                wanted[name]: value.decode(errors="replace")
                for name, value in record.headers
                if name in wanted and value is not None
            }
            headers = record.headers
            if attributes.pop("", None) is not None:
                headers = [header for header in headers if header[0] != RULE_HEADER]
            try:
                decision = self._decide(record, attributes, rules)
            except PermanentError as error:
                counts[DEAD] += 1
                yield DeadLetter(record, error.reason, "decode", error.message)
                continue
            for target in decision.targets:
                label = labels.get(target.rule)
                if label is None:
                    label = labels[target.rule] = _label(target)
                counts[label[0]] += 1
                copied = (*headers, (RULE_HEADER, label[1]))
                yield Emit(target.topic, record.key, record.value, copied, None, record)
            for failure in decision.errors:
                rule = f"{failure.rule}@{failure.version}"
                yield DeadLetter(record, "condition_error", "condition", f"rule {rule}: {failure.reason}")
            counts[MATCHED if decision.targets else DEAD if decision.errors else UNMATCHED] += 1
        counts[EVENTS] += len(chunk)
        for name, count in counts.items():
            key = f"{state.partition}/{name}"
            yield Put(COUNTS, key, state.get(COUNTS, key, 0) + count)

    def _decide(self, record: Record, attributes: Mapping[str, str], rules: RuleSet) -> Decision:
        event_type = attributes.get("type") or record.topic
        value = record.value or b""
        return rules.decide(
            event_type, attributes, lambda: self._codec.project(value, rules.fields_of(event_type))
        )


def _label(target: Target) -> tuple[str, bytes]:
    """Return the rule as outputs and counts name it."""
    label = f"{target.rule}@{target.version}"
    return label, label.encode()
