"""Decides events by two sets of rules, as the live router does, and compares what would become of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from agents.router.deciding import Decider, Verdict
from agents.router.dry_run.decoding import NotingCodec
from agents.router.dry_run.findings import Findings
from agents.router.dry_run.outcome import Made, Outcome, Outcomes
from agents.router.dry_run.pairing import Decided, Pair, PairDecider
from agents.router.route import MAX_SEGMENTS, Router

if TYPE_CHECKING:
    from agents.router.domain.timeline import Timeline
    from fleet.lane import Record
    from schemas.codec import SchemaSource


class _Side:
    """One of the two sets of rules, with the router that decides by it."""

    def __init__(self, timeline: Timeline, codec: NotingCodec) -> None:
        self.timeline = timeline
        self.router = Router(codec, lambda: timeline)
        self.outcomes = Outcomes(timeline.rules)

    def outcome(self, decided: Decided) -> Outcome:
        return decided if isinstance(decided, Outcome) else self.outcomes.of(decided)


class Comparison:
    """Decides events by the rules as they are and as they would be.

    The verdicts are the live router's own, `Router.decider`, so they cannot differ from what it does.
    Copies are made only where making them can fail, and never written: nothing here can produce.

    Args:
        baseline: The rules as they are.
        draft: The rules as they would be.
        registry: Source of the schemas.
    """

    def __init__(self, baseline: Timeline, draft: Timeline, registry: SchemaSource) -> None:
        self._codec = NotingCodec(registry)
        self._before = _Side(baseline, self._codec)
        self._after = _Side(draft, self._codec)
        self._decider: PairDecider | None = None
        self._deciders: dict[tuple[Decider, Decider], PairDecider] = {}
        self._findings = Findings()

    @property
    def events(self) -> int:
        """Events that were compared."""
        return self._findings.events

    @property
    def topics(self) -> list[str]:
        """Targets that any of them goes to."""
        return self._findings.topics

    async def prepare(self, records: Sequence[Record]) -> None:
        """Look up the schemas of `records`.

        Raises:
            TransientError: The registry does not answer, or must be asked again.
        """
        await self._before.router.prepare(records)
        await self._after.router.prepare(records)

    def add(self, records: Iterable[Record]) -> None:
        """Compare events; `prepare` has looked up their schemas."""
        pairs: dict[Pair, list[Record]] = {}
        decider = self._decider
        for record in records:
            if decider is None or not decider.covers(record.timestamp):
                decider = self._decider = self._deciding(record.timestamp)
            pair = decider.decide(record)
            if not (pair[0].is_plain and pair[1].is_plain):
                pair = self._singly(pair, record)
            same = pairs.get(pair)
            if same is None:
                pairs[pair] = [record]
            else:
                same.append(record)
        for (before, after), found in pairs.items():
            self._findings.add(self._before.outcome(before), self._after.outcome(after), found)

    def _deciding(self, published_ms: int) -> PairDecider:
        old, new = self._before, self._after
        both = old.router.decider(old.timeline, published_ms), new.router.decider(new.timeline, published_ms)
        found = self._deciders.get(both)
        if found is None:
            if len(self._deciders) >= MAX_SEGMENTS:
                self._deciders.clear()
            found = self._deciders[both] = PairDecider(*both, self._codec)
        return found

    def _singly(self, pair: Pair, record: Record) -> Pair:
        before, after = pair
        made: Made = {}
        if isinstance(before, Verdict) and not before.is_plain:
            before = self._before.outcomes.singly(before, record, made)
        if isinstance(after, Verdict) and not after.is_plain:
            after = self._after.outcomes.singly(after, record, made)
        return before, after

    def report(self) -> dict[str, Any]:
        """Return what was found so far, as JSON values."""
        return self._findings.report()
