"""Deciding a record by one snapshot of rules, with what its headers decide remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from fleet.lane import Record, select_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agents.router.domain.routing import Decision, Failure, RuleSet, Target
    from schemas.codec import Codec

RULE_HEADER: Final = "fleet_rule"
MAX_REMEMBERED: Final = 10_000

_Values: TypeAlias = tuple[bytes | str | None, ...]


class Copy(NamedTuple):
    """A copy to make: the topic, its rule as counts name it, and the headers to add."""

    topic: str
    label: str
    headers: tuple[tuple[str, bytes]]


class Verdict(NamedTuple):
    """What becomes of a record.

    Attributes:
        decision: What the rules say.
        copies: The copies to make of it.
        is_copy: Whether it has the header of a rule, which its own copies have in place of that.
    """

    decision: Decision
    copies: tuple[Copy, ...]
    is_copy: bool


class _Event(NamedTuple):
    """What the headers of a record say where its fields have to be looked at too.

    Attributes:
        type: Event type.
        attributes: CloudEvents attributes that rules read.
        is_copy: As in `Verdict`.
        project: Decodes the fields that rules of this type read.
        verdicts: What became of events, by the rules that matched.
        decoded: Whether its fields are looked at in any case.
    """

    type: str
    attributes: Mapping[str, str]
    is_copy: bool
    project: Callable[[bytes], dict[str, Any]]
    verdicts: dict[int, Verdict]
    decoded: bool


class Decider:
    """Decides records by `rules`.

    Where no rule of an event type reads fields, events with the same values of the headers that rules
    read have the same verdict: it is worked out once.

    Args:
        rules: The snapshot.
        codec: Decodes events, where a rule reads their fields.
    """

    def __init__(self, rules: RuleSet, codec: Codec) -> None:
        self.rules = rules
        self._codec = codec
        self._names = ("type", *sorted(rules.attributes - {"type"}))
        self._select = select_headers([RULE_HEADER, *(f"ce_{name}" for name in self._names)])
        self._known: dict[_Values, Verdict | _Event] = {}

    def decide(self, record: Record) -> Verdict:
        """Return what becomes of `record`.

        Raises:
            EventfleetError: A rule reads its fields, and it cannot be decoded.
        """
        values: _Values = self._select(record)
        if values[1] is None:
            values = (*values, record.topic)
        known = self._known.get(values)
        if known is None:
            known = self._learnt(values, record.topic)
        if type(known) is Verdict:
            return known
        return self._by_fields(known, record)  # type: ignore[arg-type] # there are only these two

    def _learnt(self, values: _Values, topic: str) -> Verdict | _Event:
        of_rule, *found = values
        attributes = {
            name: value.decode(errors="replace")
            for name, value in zip(self._names, found, strict=False)
            if isinstance(value, bytes)
        }
        event_type = attributes.get("type") or topic
        is_copy = of_rule is not None
        known: Verdict | _Event
        if self.rules.reads_fields(event_type):
            project = self._codec.projector(self.rules.fields_of(event_type))
            known = _Event(event_type, attributes, is_copy, project, {}, self.rules.decodes(event_type))
        else:
            known = _verdict(self.rules.decide(event_type, attributes, dict), is_copy=is_copy)
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[values] = known
        return known

    def _by_fields(self, event: _Event, record: Record) -> Verdict:
        errors: list[Failure] = []
        value = record.value or b""
        if event.decoded:
            decoded = event.project(value)
            matching = self.rules.match(event.type, event.attributes, dict, errors, decoded)
        else:
            matching = self.rules.match(event.type, event.attributes, lambda: event.project(value), errors)
        verdict = None if errors else event.verdicts.get(matching)
        if verdict is None:
            verdict = _verdict(self.rules.decision(event.type, matching, errors), is_copy=event.is_copy)
            if not errors:
                if len(event.verdicts) >= MAX_REMEMBERED:
                    event.verdicts.clear()
                event.verdicts[matching] = verdict
        return verdict


def _verdict(decision: Decision, *, is_copy: bool) -> Verdict:
    return Verdict(decision, tuple(map(_copy, decision.targets)), is_copy)


def _copy(target: Target) -> Copy:
    label = f"{target.rule}@{target.version}"
    return Copy(target.topic, label, ((RULE_HEADER, label.encode()),))
