"""Deciding where an event goes, with one immutable snapshot of the rules."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents.router.domain.index import Index
from fleet.cel.errors import EvaluationError
from tables.routes.errors import RuleError
from tables.routes.rule import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fleet.cel.condition import Condition
    from tables.routes.rule import Rule


class Target(NamedTuple):
    """A copy to deliver: the topic, and the rule version that asked for it."""

    topic: str
    rule: str
    version: int


class Failure(NamedTuple):
    """A rule that could not be decided for this event, and why (free of event contents)."""

    rule: str
    version: int
    reason: str


class Decision(NamedTuple):
    """What the rules say about one event.

    Attributes:
        targets: Each topic once; where several rules name it, the first by rule name.
        errors: Rules that failed. Each is a dead letter (step ``condition``) beside the
            copies in `targets`, which are delivered.
        matched: Whether any rule matched.
    """

    targets: tuple[Target, ...] = ()
    errors: tuple[Failure, ...] = ()
    matched: bool = False


UNMATCHED: Final = Decision()


class _Route(NamedTuple):
    rule: Rule
    condition: Condition
    targets: tuple[Target, ...]
    bit: int


class RuleSet:
    """An immutable snapshot of the rules; swap the whole set to change them."""

    __slots__ = ("_attributes", "_fields", "_indexes", "_routes", "_sharing", "rules")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        """Index `rules`; use `of`, which orders and checks them."""
        self.rules = rules
        self._routes: dict[str, tuple[_Route, ...]] = {}
        for rule in rules:
            if rule.state is State.ACTIVE:
                targets = tuple(Target(topic, rule.name, rule.version) for topic in rule.targets)
                before = self._routes.get(rule.source, ())
                self._routes[rule.source] = (*before, _Route(rule, rule.compiled, targets, 1 << len(before)))
        every = [route.condition for routes in self._routes.values() for route in routes]
        self._attributes = frozenset[str]().union(*(condition.attributes for condition in every))
        self._fields = {
            source: frozenset[str]().union(*(route.condition.fields for route in routes))
            for source, routes in self._routes.items()
        }
        self._indexes = {
            source: Index(routes, lambda route: route.condition) for source, routes in self._routes.items()
        }
        self._sharing = {
            source
            for source, index in self._indexes.items()
            if not index.reads_fields and self._readers(source) > 1
        }

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> RuleSet:
        """Return the snapshot of `rules`, in any order.

        Raises:
            RuleError: Two rules have one name, or a condition does not compile.
        """
        ordered = tuple(sorted(rules, key=lambda rule: rule.name))
        for first, second in pairwise(ordered):
            if first.name == second.name:
                raise RuleError(
                    f"rule {first.name!r} is given twice", field="name", hint="keep one version of it"
                )
        return cls(ordered)

    @property
    def sources(self) -> frozenset[str]:
        """Event types that an active rule looks at."""
        return frozenset(self._routes)

    @property
    def attributes(self) -> frozenset[str]:
        """Attributes that an active rule reads."""
        return self._attributes

    def fields_of(self, event_type: str) -> frozenset[str]:
        """Fields that rules of this event type read, ``payer.id`` or ``payer``: no others are decoded."""
        return self._fields.get(event_type, frozenset())

    def reads_fields(self, event_type: str) -> bool:
        """Whether deciding an event of this type may have to decode it."""
        return self._readers(event_type) > 0

    def decodes(self, event_type: str) -> bool:
        """Whether deciding an event of this type always decodes it."""
        index = self._indexes.get(event_type)
        return index is not None and index.reads_fields

    def _readers(self, event_type: str) -> int:
        return sum(route.condition.reads_fields for route in self._routes.get(event_type, ()))

    def decide(
        self, event_type: str, attributes: Mapping[str, str], fields: Callable[[], Mapping[str, Any]]
    ) -> Decision:
        """Return where one event goes; the same for every order in which the rules were given.

        Args:
            event_type: CloudEvents type of the event.
            attributes: CloudEvents attributes by name, without the ``ce_`` prefix.
            fields: Returns the decoded event; called at most once, and only when a rule needs it.

        Raises:
            EventfleetError: Whatever `fields` raises; no rule is decided then.
        """
        errors: list[Failure] = []
        matching = self.match(event_type, attributes, fields, errors)
        return self.decision(event_type, matching, errors)

    def match(
        self,
        event_type: str,
        attributes: Mapping[str, str],
        fields: Callable[[], Mapping[str, Any]],
        errors: list[Failure],
        event: Mapping[str, Any] | None = None,
    ) -> int:
        """Return which rules match one event, a bit for each; `decision` makes a decision of it.

        Args:
            event_type: As of `decide`.
            attributes: As of `decide`.
            fields: As of `decide`.
            errors: Rules that could not be decided are added to it.
            event: The decoded event, where it is decoded already: `fields` is not called then.

        Raises:
            EventfleetError: Whatever `fields` raises; no rule is decided then.
        """
        index = self._indexes.get(event_type)
        if index is None:
            return 0
        if event is None and index.reads_fields:
            event = fields()
        if event_type in self._sharing:
            fields = _once(fields)
        matching = 0
        for rule, condition, _, bit in index.candidates(attributes, event):
            try:
                found = condition.function(attributes, fields, event)
                if found is True or (found is not False and condition.matches(attributes, fields, event)):
                    matching |= bit
            except EvaluationError as error:
                errors.append(Failure(rule.name, rule.version, error.message))
        return matching

    def decision(self, event_type: str, matching: int, errors: Iterable[Failure] = ()) -> Decision:
        """Return what becomes of an event of this type that so many rules match."""
        targets: dict[str, Target] = {}
        if matching:
            for route in self._routes[event_type]:
                if route.bit & matching:
                    for target in route.targets:
                        targets.setdefault(target.topic, target)
        failed = tuple(errors)
        return Decision(tuple(targets.values()), failed, bool(targets)) if targets or failed else UNMATCHED


def _once(fields: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
    """Decode once for all rules of an event."""
    decoded: Mapping[str, Any] | None = None

    def shared() -> Mapping[str, Any]:
        nonlocal decoded
        if decoded is None:
            decoded = fields()
        return decoded

    return shared
