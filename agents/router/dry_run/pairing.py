"""Deciding events by two sets of rules at the cost of one: each event is looked at once for both.

The verdicts are always those of the live router's `Decider`. A third one, by the rules of both sets
together, tells events apart: where its verdict is the same, the same rules match, so the verdicts by
either set are those of the first such event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from agents.router.deciding import Decider, Verdict
from agents.router.domain.routing import RuleSet
from agents.router.domain.timeline import Segment
from agents.router.dry_run.outcome import Outcome, undecodable
from fleet.errors import PermanentError

if TYPE_CHECKING:
    from agents.router.dry_run.decoding import NotingCodec
    from fleet.lane import Record

MAX_REMEMBERED: Final = 10_000

Decided: TypeAlias = Verdict | Outcome
Pair: TypeAlias = tuple[Decided, Decided]


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
        self._start_ms = max(before.segment.start_ms, after.segment.start_ms)
        self._end_ms = min(before.segment.end_ms, after.segment.end_ms)
        self._both = Decider(
            Segment(self._start_ms, self._end_ms, _both(before.rules, after.rules), before.segment.offset),
            codec,
        )
        self._pairs: dict[Verdict, Pair | None] = {}
        self._undecodable: dict[str, Outcome] = {}

    def covers(self, published_ms: int) -> bool:
        """Return whether it decides records published then."""
        return self._start_ms <= published_ms < self._end_ms

    def decide(self, record: Record) -> Pair:
        """Return what becomes of `record` by the rules as they are, and as they would be."""
        try:
            verdict = self._both.decide(record)
        except PermanentError:
            return self._apart(record)
        pair = self._pairs.get(verdict)
        return self._asked(verdict, record) if pair is None else pair

    def _asked(self, verdict: Verdict, record: Record) -> Pair:
        """Ask both deciders, and remember what holds for the next event of this verdict."""
        if verdict in self._pairs:
            return self._apart(record)
        self._codec.has_read = False
        self._both.decide(record)
        is_read = self._codec.has_read
        pair = self._apart(record)
        if len(self._pairs) >= MAX_REMEMBERED:
            self._pairs.clear()
        # Where only one of the sets reads the event, whether it can be read is for each one to say.
        self._pairs[verdict] = None if self._codec.has_read and not is_read else pair
        return pair

    def _apart(self, record: Record) -> Pair:
        return self._one(self._before, record), self._one(self._after, record)

    def _one(self, decider: Decider, record: Record) -> Decided:
        try:
            return decider.decide(record)
        except PermanentError as error:
            return self._undecodable.setdefault(error.message, undecodable(error))


def _both(before: RuleSet, after: RuleSet) -> RuleSet:
    """Return the rules of both sets; one that differs is in it twice, which `RuleSet.of` would refuse."""
    known = {rule.name: rule for rule in before.rules}
    return RuleSet((*before.rules, *(rule for rule in after.rules if known.get(rule.name) != rule)))
