"""Deciding where an event goes, with one immutable snapshot of the rules."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents.router.domain.decision import (
    MAX_COPIES,
    TARGET,
    UNMATCHED,
    Decision,
    Failure,
    Target,
    chosen,
)
from agents.router.domain.index import Index
from fleet.cel.errors import EvaluationError
from tables.routes.errors import RuleError
from tables.routes.rule import EVERY, Rule, State
from tables.routes.target import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fleet.cel.condition import Condition

MAX_TYPES: Final = 1_000
"""Event types whose rules are remembered: with patterns there may be any number of types."""


class Route(NamedTuple):
    """An active rule of an event type, with its bit in the masks of that type."""

    rule: Rule
    condition: Condition
    bit: int


class TypeRules:
    """The active rules that look at one event type, in the order of their names.

    Attributes:
        routes: The rules.
        index: Finds those that may match an event.
        fields: Fields of events that their conditions read.
        readers: How many of them read fields.
        is_plain: Whether each stands by itself: no groups, no defaults.
        sources: Their sources, types and patterns.
    """

    __slots__ = ("fields", "index", "is_plain", "readers", "routes", "sources")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.routes = tuple(Route(rule, rule.compiled, 1 << number) for number, rule in enumerate(rules))
        conditions = [route.condition for route in self.routes]
        self.index = Index(self.routes, lambda route: route.condition)
        self.fields = frozenset[str]().union(*(condition.fields for condition in conditions))
        self.readers = sum(condition.reads_fields for condition in conditions)
        self.sources = tuple(sorted({route.rule.source for route in self.routes}))
        self.is_plain = not any(route.rule.group or route.rule.default for route in self.routes)


class RuleSet:
    """An immutable snapshot of the rules; swap the whole set to change them."""

    __slots__ = ("_active", "_attributes", "_by_type", "_patterns", "rules")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        """Take `rules`; use `of`, which orders and checks them."""
        self.rules = rules
        self._active: dict[str, list[Rule]] = {}
        self._patterns: list[Rule] = []
        attributes: set[str] = set()
        for rule in rules:
            if rule.state is State.ACTIVE:
                self._active.setdefault(rule.source, []).append(rule)
                if EVERY in rule.source:
                    self._patterns.append(rule)
                attributes |= _attributes_read(rule)
        self._attributes = frozenset(attributes)
        self._by_type: dict[str, TypeRules | None] = {}

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
        """Event types, and patterns of them, that an active rule looks at."""
        return frozenset(self._active)

    @property
    def attributes(self) -> frozenset[str]:
        """Attributes that an active rule reads, for its condition, its targets, its key or its projection."""
        return self._attributes

    def rules_of(self, event_type: str) -> TypeRules | None:
        """Return the active rules that look at events of this type; None where there are none."""
        try:
            return self._by_type[event_type]
        except KeyError:
            pass
        rules = [
            *self._active.get(event_type, ()),
            *(each for each in self._patterns if each.looks_at(event_type)),
        ]
        found = TypeRules(sorted(rules, key=lambda rule: rule.name)) if rules else None
        if len(self._by_type) >= MAX_TYPES:
            self._by_type.clear()
        self._by_type[event_type] = found
        return found

    def reads_fields(self, event_type: str) -> bool:
        """Whether deciding an event of this type may have to decode it."""
        found = self.rules_of(event_type)
        return found is not None and found.readers > 0

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
        found = self.rules_of(event_type)
        if found is None:
            return UNMATCHED
        errors: list[Failure] = []
        return decision(found, match(found.index, attributes, fields, errors), attributes, errors)


def _attributes_read(rule: Rule) -> frozenset[str]:
    expressions = (rule.compiled, rule.compiled_key, *rule.computed.values())
    read = [each.attributes for each in expressions if each is not None]
    return frozenset[str]().union(*read, *(template.attributes for template in rule.templates))


def match(
    index: Index[Route],
    attributes: Mapping[str, str],
    fields: Callable[[], Mapping[str, Any]],
    errors: list[Failure],
) -> int:
    """Return which rules match one event, a bit for each; `decision` makes a decision of it.

    Args:
        index: The rules.
        attributes: As of `RuleSet.decide`.
        fields: As of `RuleSet.decide`.
        errors: Rules that could not be decided are added to it.

    Raises:
        EventfleetError: Whatever `fields` raises; no rule is decided then.
    """
    event = fields() if index.reads_fields else None
    if event is None:
        fields = _once(fields)
    matching = 0
    for rule, condition, bit in index.candidates(attributes, event):
        try:
            found = condition.function(attributes, fields, event)
            if found is True or (found is not False and condition.matches(attributes, fields, event)):
                matching |= bit
        except EvaluationError as error:
            errors.append(Failure(rule.name, rule.version, error.message))
    return matching


def decision(
    rules: TypeRules, matching: int, attributes: Mapping[str, str], errors: Iterable[Failure] = ()
) -> Decision:
    """Return what becomes of an event of this type that so many rules match."""
    failed = {failure.rule: failure for failure in errors}
    if not matching and not failed:
        return UNMATCHED
    routing = [route.rule for route in rules.routes if route.bit & matching]
    passed_over = False
    if not rules.is_plain:
        undecided = [route.rule for route in rules.routes if route.rule.name in failed]
        routing, failed, passed_over = chosen([*routing, *undecided], failed)
    found, refused = _targets(routing, attributes)
    return Decision(found, (*failed.values(), *refused), tuple(rule.name for rule in routing), passed_over)


def _targets(
    routing: Iterable[Rule], attributes: Mapping[str, str]
) -> tuple[tuple[Target, ...], list[Failure]]:
    """Return the copies to make, each topic once, and targets that the attributes make no topic of."""
    found: dict[str, Target] = {}
    refused: list[Failure] = []
    for rule in routing:
        for template in rule.templates:
            try:
                topic = template.topic(attributes)
            except TargetError as error:
                refused.append(Failure(rule.name, rule.version, str(error), TARGET))
                continue
            if topic in found:
                continue
            if len(found) < MAX_COPIES:
                found[topic] = Target(topic, rule.name, rule.version)
            else:
                reason = f"target {topic}: the event has {MAX_COPIES} copies already"
                refused.append(Failure(rule.name, rule.version, reason, TARGET))
    return tuple(found.values()), refused


def _once(fields: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
    """Decode once for all rules of an event."""
    decoded: Mapping[str, Any] | None = None

    def shared() -> Mapping[str, Any]:
        nonlocal decoded
        if decoded is None:
            decoded = fields()
        return decoded

    return shared
