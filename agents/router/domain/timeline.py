"""Rules over time: which of them are valid when an event was published."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from agents.router.domain.routing import RuleSet
from tables.routes.rule import State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tables.routes.rule import Rule

BEGINNING_MS: Final = -(2**63)
END_MS: Final = 2**63


class Segment(NamedTuple):
    """A stretch of time in which the same rules are valid.

    Attributes:
        start_ms: Its first millisecond, epoch.
        end_ms: The first after it.
        rules: The rules valid in it.
        offset: Next offset of the rules topic, as of this snapshot.
    """

    start_ms: int
    end_ms: int
    rules: RuleSet
    offset: int


class Timeline:
    """An immutable snapshot of the rules table.

    Whether a rule is valid goes by the publishing time of an event, so that an event done again, or
    looked at later, is decided alike.

    Args:
        rules: All rules; see `RuleSet.of`.
        offset: Next offset of the rules topic.

    Attributes:
        everything: All rules, whenever they are valid.
        offset: Next offset of the rules topic.
        versions: Version of each rule by its name.
        output_schemas: Schema ids that copies are encoded with.
    """

    __slots__ = ("_bounds", "_segments", "everything", "offset", "output_schemas", "versions")

    def __init__(self, rules: RuleSet, offset: int = 0) -> None:
        self.everything = rules
        self.offset = offset
        # Once for each snapshot: chunks ask for them.
        self.versions = {rule.name: rule.version for rule in rules.rules}
        self.output_schemas = frozenset(
            rule.output_schema for rule in rules.rules if rule.projection and rule.output_schema is not None
        )
        bounds = {
            _epoch_ms(instant)
            for rule in rules.rules
            if rule.state is State.ACTIVE
            for instant in (rule.valid_from, rule.valid_until)
            if instant is not None
        }
        self._bounds = (BEGINNING_MS, *sorted(bounds), END_MS)
        self._segments: dict[int, Segment] = {}

    @classmethod
    def of(cls, rules: Iterable[Rule], offset: int = 0) -> Timeline:
        """Return the timeline of `rules`, in any order.

        Raises:
            RuleError: Two rules have one name, or an expression does not compile.
        """
        return cls(RuleSet.of(rules), offset)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in the order of their names."""
        return self.everything.rules

    def at(self, published_ms: int) -> Segment:
        """Return the segment in which an event published then is decided."""
        number = bisect_right(self._bounds, published_ms) - 1
        found = self._segments.get(number)
        if found is None:
            start, end = self._bounds[number], self._bounds[number + 1]
            valid = RuleSet.of(rule for rule in self.rules if is_valid(rule, start))
            found = self._segments[number] = Segment(start, end, valid, self.offset)
        return found


def is_valid(rule: Rule, published_ms: int) -> bool:
    """Return whether a rule's validity covers an event published then, epoch milliseconds."""
    return (rule.valid_from is None or _epoch_ms(rule.valid_from) <= published_ms) and (
        rule.valid_until is None or published_ms < _epoch_ms(rule.valid_until)
    )


def _epoch_ms(instant: datetime) -> int:
    # To the next whole millisecond: a record has no finer time.
    return -int(-instant.timestamp() * 1000 // 1)
