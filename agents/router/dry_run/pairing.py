"""Deciding events by two sets of rules at the cost of one: each event is decoded and matched once.

The verdicts are always those of the live router's `Decider`. Events whose headers are alike, as far as
either set reads them, and which the same rules match of both sets together, have the same two verdicts:
they are asked for at the first of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from agents.router.deciding import REDRIVEN_HEADER, RULE_HEADER, Decider, Verdict
from agents.router.domain.routing import RuleSet, match
from agents.router.dry_run.outcome import Outcome, undecodable
from fleet.errors import PermanentError
from fleet.lane import select_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agents.router.domain.decision import Failure
    from agents.router.domain.routing import TypeRules
    from agents.router.dry_run.decoding import NotingCodec
    from fleet.lane import Record

MAX_REMEMBERED: Final = 10_000

Decided: TypeAlias = Verdict | Outcome
Pair: TypeAlias = tuple[Decided, Decided]


class _ByFields(NamedTuple):
    """What events of these headers have in common, where one of the sets looks at their fields.

    Attributes:
        rules: The rules of both sets.
        attributes: CloudEvents attributes that they read.
        project: Decodes the fields that they read.
        pairs: The two verdicts by the rules that match.
    """

    rules: TypeRules
    attributes: Mapping[str, str]
    project: Callable[[bytes], dict[str, Any]]
    pairs: dict[int, Pair]


class PairDecider:
    """Decides events by two deciders.

    Args:
        before: By the rules as they are.
        after: By the rules as they would be.
        codec: The codec of both.
    """

    def __init__(self, before: Decider, after: Decider, codec: NotingCodec) -> None:
        self._before = before
        self._after = after
        self._codec = codec
        # A rule that differs is in it twice: no name may stand for two rules, but bits do.
        known = {rule.name: rule for rule in before.rules.rules}
        changed = [rule for rule in after.rules.rules if known.get(rule.name) != rule]
        self._rules = RuleSet((*before.rules.rules, *changed))
        self._names = ("type", *sorted(self._rules.attributes - {"type"}))
        self._select = select_headers([RULE_HEADER, REDRIVEN_HEADER, *(f"ce_{name}" for name in self._names)])
        self._known: dict[tuple[bytes | str | None, ...], Pair | _ByFields] = {}
        self._undecodable: dict[str, Outcome] = {}

    def covers(self, published_ms: int) -> bool:
        """Return whether it decides records published then."""
        return self._before.covers(published_ms) and self._after.covers(published_ms)

    def decide(self, record: Record) -> Pair:
        """Return what becomes of `record` by the rules as they are, and as they would be."""
        values: tuple[bytes | str | None, ...] = self._select(record)
        if values[2] is None:
            values = (*values, record.topic)
        known = self._known.get(values)
        if known is None:
            return self._learn(values, record)
        return self._by_fields(known, record) if isinstance(known, _ByFields) else known

    def _by_fields(self, known: _ByFields, record: Record) -> Pair:
        errors: list[Failure] = []
        try:
            event = known.project(record.value or b"")
        except PermanentError:
            return self._apart(record)
        matching = match(known.rules, known.attributes, dict, errors, event)
        if errors:
            return self._apart(record)
        pair = known.pairs.get(matching)
        if pair is None:
            if len(known.pairs) >= MAX_REMEMBERED:
                known.pairs.clear()
            pair = known.pairs[matching] = self._apart(record)
        return pair

    def _learn(self, values: tuple[bytes | str | None, ...], record: Record) -> Pair:
        """Decide the first record with these headers, and remember what holds for the next."""
        # Until a field is read nothing but the headers decides: so does whether one is read.
        self._codec.has_decoded = False
        pair = self._apart(record)
        _, redriven, *found = values
        if redriven is not None:
            return pair  # Which copies of it are wanted is each one's own.
        attributes = {
            name: value.decode(errors="replace")
            for name, value in zip(self._names, found, strict=False)
            if isinstance(value, bytes)
        }
        rules = self._rules.rules_of(attributes.get("type") or record.topic)
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        if self._codec.has_decoded and rules is not None:
            self._known[values] = _ByFields(rules, attributes, self._codec.projector(rules.fields), {})
        else:
            self._known[values] = pair
        return pair

    def _apart(self, record: Record) -> Pair:
        return self._one(self._before, record), self._one(self._after, record)

    def _one(self, decider: Decider, record: Record) -> Decided:
        try:
            return decider.decide(record)
        except PermanentError as error:
            return self._undecodable.setdefault(error.message, undecodable(error))
