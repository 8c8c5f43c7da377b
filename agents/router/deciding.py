"""Deciding a record by one snapshot of rules, with what its headers decide remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from agents.router.classing import ByClass, ClassedRules
from agents.router.domain.decision import UNMATCHED, Decision, Failure, Redrive
from agents.router.domain.routing import decision, match
from agents.router.shaping import Shape, no_fields, shape_of
from fleet.lane import Record, Redriven, select_headers
from fleet.lane.dead_letters import RULE_HEADER
from schemas.codec import HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agents.router.domain.decision import Target
    from agents.router.domain.index import Index
    from agents.router.domain.routing import Route, TypeRules
    from agents.router.domain.timeline import Segment
    from schemas.codec import Codec

CONFIG_HEADER: Final = "fleet_config"
HOPS_HEADER: Final = "fleet_hops"
OWN_HEADERS: Final = frozenset({RULE_HEADER, CONFIG_HEADER, HOPS_HEADER})
MAX_REMEMBERED: Final = 10_000
MAX_SCHEMAS: Final = 1_000
MAX_HOPS: Final = 8
"""Times that an event may be routed on from topic to topic."""

_Values: TypeAlias = tuple[bytes | str | None, ...]


class Copy(NamedTuple):
    """A copy to make.

    Attributes:
        topic: Where it goes.
        rule: Name of the rule that asks for it.
        headers: Headers to add.
        shape: How it differs from the event; None where it is the event as it is.
    """

    topic: str
    rule: str
    headers: tuple[tuple[str, bytes], ...]
    shape: Shape | None


class Verdict:
    """What becomes of a record; one object for all records of which the same becomes.

    Attributes:
        decision: What the rules say.
        copies: The copies to make of it.
        sources: Sources of rules, types and patterns, that cover its type.
        attributes: Its CloudEvents attributes that rules read.
        relabels: Whether the record has headers of the router's own, which its copies get anew.
        redriven: Whether the record is a dead letter that is done again.
        is_plain: Whether its copies are the record as it is, with headers added.
    """

    __slots__ = ("attributes", "copies", "decision", "is_plain", "redriven", "relabels", "sources")

    def __init__(
        self,
        decision: Decision,
        copies: tuple[Copy, ...],
        sources: tuple[str, ...],
        attributes: Mapping[str, str],
        *,
        relabels: bool,
        redriven: bool,
    ) -> None:
        self.decision = decision
        self.copies = copies
        self.sources = sources
        self.attributes = attributes
        self.relabels = relabels
        self.redriven = redriven
        self.is_plain = not relabels and not any(copy.shape for copy in copies)


class _Event(NamedTuple):
    """What the headers of a record say where its fields have to be looked at too.

    Attributes:
        rules: The rules of its type.
        attributes: CloudEvents attributes that rules read.
        relabels: As in `Verdict`.
        redriven: As in `Verdict`.
        redrive: What is to be done of it, where it is a dead letter that is done again.
        project: Decodes the fields that rules of this type read.
        verdicts: What became of events, by the rules that matched.
        by_class: What classes of field values decided, by how the value begins, which names its schema.
    """

    rules: TypeRules
    attributes: Mapping[str, str]
    relabels: bool
    redriven: bool
    redrive: Redrive | None
    project: Callable[[bytes], dict[str, Any]]
    verdicts: dict[int, Verdict]
    by_class: dict[bytes, ByClass]


class Decider:
    """Decides records by the rules of one segment of time.

    Where no rule of an event type reads fields, events with the same values of the headers that rules
    read have the same verdict: it is worked out once.

    Args:
        segment: The rules, and when they are valid.
        codec: Decodes events, where a rule reads their fields, and encodes what projections give.
    """

    def __init__(self, segment: Segment, codec: Codec) -> None:
        self.segment = segment
        self.rules = segment.rules
        self._codec = codec
        self._by_name = {rule.name: rule for rule in self.rules.rules}
        self._shapes: dict[str, Shape | None] = {}
        self._names = ("type", *sorted(self.rules.attributes - {"type"}))
        self._select = select_headers([RULE_HEADER, *(f"ce_{name}" for name in self._names)])
        self._known: dict[_Values, Verdict | _Event] = {}
        self._classed: dict[tuple[TypeRules, bytes], ClassedRules | None] = {}
        self._config = str(segment.offset).encode()

    def covers(self, published_ms: int) -> bool:
        """Return whether it decides records published then."""
        return self.segment.start_ms <= published_ms < self.segment.end_ms

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
            known = self._learnt(values, record)
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[values] = known
        if type(known) is Verdict:
            return known
        return self._by_fields(known, record)  # type: ignore[arg-type] # there are only these two

    def decide_again(self, record: Redriven) -> Verdict:
        """Return what becomes of a dead letter that is done again; as `decide`, for what was left undone."""
        known = self._learnt(self._select(record), record, redrive_of(record), redriven=True)
        return known if isinstance(known, Verdict) else self._by_fields(known, record)

    def _learnt(
        self, values: _Values, record: Record, redrive: Redrive | None = None, *, redriven: bool = False
    ) -> Verdict | _Event:
        of_rule, *found = values
        attributes = {
            name: value.decode(errors="replace")
            for name, value in zip(self._names, found, strict=False)
            if isinstance(value, bytes)
        }
        rules = self.rules.rules_of(attributes.get("type") or record.topic)
        relabels = of_rule is not None
        if rules is None:
            return Verdict(UNMATCHED, (), (), attributes, relabels=relabels, redriven=redriven)
        if rules.readers:
            project = self._codec.projector(rules.fields)
            return _Event(rules, attributes, relabels, redriven, redrive, project, {}, {})
        errors: list[Failure] = []
        matching = match(rules.index, attributes, dict, errors)
        event = _Event(rules, attributes, relabels, redriven, redrive, no_fields, {}, {})
        return self._verdict(event, matching, errors)

    def _by_fields(self, event: _Event, record: Record) -> Verdict:
        value = record.value or b""
        header = value[:HEADER_BYTES]
        by_class = event.by_class.get(header)
        if by_class is None:
            return self._first(event, header, value)
        classes = by_class.classes(value)
        if classes is None:
            return self._by_value(event, value)
        if by_class.rules.rest is not None:
            return self._with_rest(event, by_class, by_class.rules.rest, classes, value)
        verdict = by_class.verdicts.get(classes)
        if verdict is None:
            verdict = self._by_value(event, value)
            if not verdict.decision.errors:
                by_class.remember(classes, verdict)
        return verdict

    def _first(self, event: _Event, header: bytes, value: bytes) -> Verdict:
        """Decide an event, and note whether classes can decide the next of its attributes and its schema.

        Whether an event is decoded at all is for its attributes to say, so it is the same for all of them.
        """
        decoded = False

        def project() -> dict[str, Any]:
            nonlocal decoded
            decoded = True
            return event.project(value)

        verdict = self._matched(event, event.rules.index, project)
        if decoded:
            known = (event.rules, header)
            if known not in self._classed:
                if len(self._classed) >= MAX_SCHEMAS:
                    self._classed.clear()
                self._classed[known] = ClassedRules.of(event.rules, header, self._codec)
            rules = self._classed[known]
            if rules is not None:
                if len(event.by_class) >= MAX_SCHEMAS:
                    event.by_class.clear()
                event.by_class[header] = ByClass(rules)
        return verdict

    def _with_rest(
        self, event: _Event, by_class: ByClass, rest: Index[Route], classes: bytes, value: bytes
    ) -> Verdict:
        """Decide the rules that classes do not decide one by one, beside the others."""
        matching = by_class.matching.get(classes)
        if matching is None:
            errors: list[Failure] = []
            matching = match(by_class.rules.index, event.attributes, lambda: event.project(value), errors)
            if errors:
                return self._by_value(event, value)
            by_class.remember_matching(classes, matching)
        return self._matched(event, rest, lambda: by_class.rules.project(value), matching)

    def _by_value(self, event: _Event, value: bytes) -> Verdict:
        return self._matched(event, event.rules.index, lambda: event.project(value))

    def _matched(
        self, event: _Event, index: Index[Route], fields: Callable[[], dict[str, Any]], matching: int = 0
    ) -> Verdict:
        """Return the verdict by the rules of `index`, beside those that match already."""
        errors: list[Failure] = []
        matching |= match(index, event.attributes, fields, errors)
        verdict = None if errors else event.verdicts.get(matching)
        if verdict is None:
            verdict = self._verdict(event, matching, errors)
            if not errors:
                if len(event.verdicts) >= MAX_REMEMBERED:
                    event.verdicts.clear()
                event.verdicts[matching] = verdict
        return verdict

    def _verdict(self, event: _Event, matching: int, errors: list[Failure]) -> Verdict:
        found = decision(event.rules, matching, event.attributes, errors)
        if event.redrive is not None:
            found = event.redrive.of(found, {route.rule.name: route.rule for route in event.rules.routes})
        copies = tuple(map(self._copy, found.targets))
        flags = {"relabels": event.relabels, "redriven": event.redriven}
        return Verdict(found, copies, event.rules.sources, event.attributes, **flags)

    def _copy(self, target: Target) -> Copy:
        if target.rule not in self._shapes:
            self._shapes[target.rule] = shape_of(self._by_name[target.rule], self._codec)
        label = f"{target.rule}@{target.version}".encode()
        headers = ((RULE_HEADER, label), (CONFIG_HEADER, self._config))
        return Copy(target.topic, target.rule, headers, self._shapes[target.rule])


def redrive_of(record: Redriven) -> Redrive | None:
    """Return what a dead letter that comes back is about; None where it is about the whole event."""
    letter = record.letter
    if not letter.get("rule"):
        return None
    return Redrive(letter["rule"].rpartition("@")[0], letter.get("target", ""), "defaulted" in letter)


def hops_of(record: Record) -> int:
    """Return how many times a record was routed on; one that is a copy without saying so, once."""
    headers = dict(record.headers)
    if RULE_HEADER not in headers:
        return 0
    text = headers.get(HOPS_HEADER, b"1")
    return int(text) if text.isdigit() else MAX_HOPS
