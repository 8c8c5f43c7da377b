"""What each rule says of one event, and why; by the router's own decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents.router.deciding import MAX_HOPS, Decider, hops_of
from agents.router.domain.timeline import is_valid
from agents.router.explaining.values import seen
from agents.router.shaping import ShapeError
from fleet.cel.explain import explain
from fleet.errors import PermanentError
from tables.routes.rule import State
from tables.routes.target import TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.router.deciding import Copy, Verdict
    from agents.router.domain.timeline import Timeline
    from fleet.lane import Record
    from schemas.codec import Codec
    from tables.routes.rule import Rule

Said = dict[str, Any]

OTHER_SOURCE: Final = "other_source"
NOT_ACTIVE: Final = "not_active"
NOT_VALID: Final = "not_valid"
NOT_MATCHED: Final = "not_matched"
MATCHED: Final = "matched"
PASSED_OVER: Final = "passed_over"
ERROR: Final = "error"
UNDECODABLE: Final = "undecodable"

_CE: Final = "ce_"


def attributes_of(record: Record) -> dict[str, str]:
    """Return all CloudEvents attributes of an event."""
    return {
        name.removeprefix(_CE): value.decode(errors="replace")
        for name, value in record.headers
        if name.startswith(_CE)
    }


def explained(timeline: Timeline, record: Record, codec: Codec) -> Said:
    """Return what a snapshot of rules says of an event, as JSON values.

    Args:
        timeline: The rules.
        record: The event; the codec has looked up its schema, and those of projections.
        codec: Decodes it.
    """
    event = _Event(timeline, record, codec)
    return {
        "config_offset": timeline.offset,
        "event_type": event.type,
        "undecodable": event.undecodable,
        "rules": [event.rule(rule) for rule in timeline.rules],
        "copies": [{"topic": topic, "rule": rule} for topic, rule in sorted(event.copies.items())],
    }


class _Event:
    """One event by one snapshot of rules.

    Attributes:
        type: Its event type.
        undecodable: Why it cannot be decoded, where a rule reads its fields.
        copies: Rule, ``name@version``, by topic.
    """

    def __init__(self, timeline: Timeline, record: Record, codec: Codec) -> None:
        self._record = record
        self._codec = codec
        self._attributes = attributes_of(record)
        self.type = self._attributes.get("type") or record.topic
        self._segment = timeline.at(record.timestamp)
        decider = Decider(self._segment, codec)
        self.undecodable = ""
        self._verdict: Verdict | None = None
        try:
            self._verdict = decider.decide(record)
        except PermanentError as error:
            self.undecodable = error.message
        self._hops = hops_of(record)
        self._copies = {copy.topic: copy for copy in self._verdict.copies} if self._verdict else {}
        self._refused = {topic: why for topic, copy in self._copies.items() if (why := self._why_not(copy))}
        self.copies = {
            topic: copy.headers[0][1].decode()
            for topic, copy in self._copies.items()
            if topic not in self._refused
        }
        self._told = {rule.name: self._condition(rule) for rule in self._looking()}

    def _looking(self) -> list[Rule]:
        found = self._segment.rules.rules_of(self.type)
        return [route.rule for route in found.routes] if found else []

    def _condition(self, rule: Rule) -> Said:
        """Return what the condition of a rule says, whatever becomes of it."""
        fields = rule.compiled.fields
        try:
            event = self._codec.project(self._record.value or b"", fields) if fields else {}
        except PermanentError as error:
            return {"verdict": UNDECODABLE, "reason": error.message}
        found = explain(rule.compiled, self._attributes, event)
        if found.verdict == "true":
            return {"verdict": MATCHED}
        why: list[Mapping[str, Any]] = [seen(finding) for finding in found.findings]
        if found.verdict == "false":
            return {"verdict": NOT_MATCHED, "why": why}
        return {"verdict": ERROR, "reason": found.reason, "why": why}

    def rule(self, rule: Rule) -> Said:
        """Return what a rule says of the event."""
        said: Said = {
            "rule": f"{rule.name}@{rule.version}",
            "source": rule.source,
            "condition": rule.condition,
        }
        if not rule.looks_at(self.type):
            return {
                **said,
                "verdict": OTHER_SOURCE,
                "reason": f"it looks at {rule.source}, not at {self.type}",
            }
        if rule.state is not State.ACTIVE:
            return {**said, "verdict": NOT_ACTIVE, "reason": f"it is {rule.state.value}"}
        if not is_valid(rule, self._record.timestamp):
            return {**said, "verdict": NOT_VALID, "reason": _validity(rule)}
        told = self._told[rule.name]
        if self.undecodable:
            return {**said, "verdict": UNDECODABLE, "reason": self.undecodable}
        if told["verdict"] == MATCHED:
            told = self._matched(rule)
        return {**said, **({"group": rule.group} if rule.group else {}), **told}

    def _matched(self, rule: Rule) -> Said:
        assert self._verdict is not None  # noqa: S101 - it could be decoded
        if rule.name not in self._verdict.decision.matched:
            return {"verdict": PASSED_OVER, "reason": self._passed_over_by(rule)}
        return {
            "verdict": MATCHED,
            "targets": [self._target(rule, number) for number in range(len(rule.targets))],
        }

    def _passed_over_by(self, rule: Rule) -> str:
        """Return why a rule that matches does not route."""
        if rule.group:
            others = [each for each in self._looking() if each.group == rule.group]
            others.sort(key=lambda each: (each.default, each.priority, each.name))
            for other in others:
                verdict = self._told[other.name]["verdict"]
                if verdict in (MATCHED, ERROR):
                    what = "matches first" if verdict == MATCHED else "failed, and stands for the rest of it"
                    return f"rule {other.name} of group {rule.group} {what}"
        assert self._verdict is not None  # noqa: S101 - it could be decoded
        decision = self._verdict.decision
        if decision.matched:
            return f"a default comes last, and {', '.join(decision.matched)} matched"
        failed = ", ".join(failure.rule for failure in decision.errors)
        return f"a default comes last, and what {failed} says is not known"

    def _target(self, rule: Rule, number: int) -> Said:
        template = rule.templates[number]
        assert self._verdict is not None  # noqa: S101 - it could be decoded
        try:
            topic = template.topic(self._attributes)
        except TargetError as error:
            return {"topic": template.text, "outcome": ERROR, "reason": str(error)}
        copy = self._copies.get(topic)
        if copy is None:
            return {"topic": topic, "outcome": ERROR, "reason": "the event has as many copies as it may have"}
        if copy.rule != rule.name:
            return {"topic": topic, "outcome": "taken", "reason": f"rule {copy.rule} sends it there already"}
        refused = self._refused.get(topic)
        return (
            {"topic": topic, "outcome": ERROR, "reason": refused}
            if refused
            else {"topic": topic, "outcome": "copy"}
        )

    def _why_not(self, copy: Copy) -> str:
        """Return why a copy cannot be made; empty where it can."""
        assert self._verdict is not None  # noqa: S101 - it has copies
        if self._verdict.relabels and self._hops >= MAX_HOPS:
            return f"routed on {self._hops} times already"
        try:
            self.key_of(copy)
        except ShapeError as error:
            return f"{error.step}: {error.detail}"
        except PermanentError as error:
            return error.message
        return ""

    def key_of(self, copy: Copy) -> bytes | None:
        """Return the key of a copy."""
        assert self._verdict is not None  # noqa: S101 - it has copies
        if copy.shape is None:
            return self._record.key
        return copy.shape.make(self._record, self._verdict.attributes)[0]


def _validity(rule: Rule) -> str:
    since = f" from {rule.valid_from.isoformat()}" if rule.valid_from else ""
    until = f" until {rule.valid_until.isoformat()}" if rule.valid_until else ""
    return f"it is valid for events published{since}{until}"
