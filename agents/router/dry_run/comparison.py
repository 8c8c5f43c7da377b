"""Decides events by two sets of rules, as the live router does, and compares what would become of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from agents.router.deciding import Verdict
from agents.router.dry_run.decoding import SharedCodec, fields_of_changed
from agents.router.dry_run.findings import Findings
from agents.router.dry_run.outcome import Made, Outcome, Outcomes, undecodable
from agents.router.route import Router
from fleet.errors import PermanentError

if TYPE_CHECKING:
    from agents.router.domain.timeline import Timeline
    from fleet.lane import Record
    from schemas.codec import SchemaSource

_Decided: TypeAlias = Verdict | Outcome


class _Side:
    """One of the two sets of rules, with the router that decides by it."""

    def __init__(self, timeline: Timeline, codec: SharedCodec) -> None:
        self.timeline = timeline
        self.router = Router(codec, lambda: timeline)
        self.outcomes = Outcomes(timeline.rules)

    def outcome(self, decided: _Decided) -> Outcome:
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
        changed = fields_of_changed(baseline.everything.rules, draft.everything.rules)
        self._codec = SharedCodec(registry, changed)
        self._before = _Side(baseline, self._codec)
        self._after = _Side(draft, self._codec)
        self._findings = Findings()
        self._undecodable: dict[str, Outcome] = {}

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
        pairs: dict[tuple[_Decided, _Decided], list[Record]] = {}
        decoded = self._codec.decoded
        old = new = None
        for record in records:
            published_ms = record.timestamp
            if old is None or new is None or not (old.covers(published_ms) and new.covers(published_ms)):
                old = self._before.router.decider(self._before.timeline, published_ms)
                new = self._after.router.decider(self._after.timeline, published_ms)
            decoded.clear()
            before: _Decided
            after: _Decided
            try:
                before, after = old.decide(record), new.decide(record)
            except PermanentError:
                before, after = self._refused(old.decide, record), self._refused(new.decide, record)
            if not before.is_plain or not after.is_plain:
                before, after = self._singly(before, after, record)
            pair = before, after
            same = pairs.get(pair)
            if same is None:
                pairs[pair] = [record]
            else:
                same.append(record)
        for (before, after), found in pairs.items():
            self._findings.add(self._before.outcome(before), self._after.outcome(after), found)

    def _singly(self, before: _Decided, after: _Decided, record: Record) -> tuple[_Decided, _Decided]:
        made: Made = {}
        if isinstance(before, Verdict) and not before.is_plain:
            before = self._before.outcomes.singly(before, record, made)
        if isinstance(after, Verdict) and not after.is_plain:
            after = self._after.outcomes.singly(after, record, made)
        return before, after

    def _refused(self, decide: Any, record: Record) -> _Decided:
        """Return what one set of rules makes of an event that at least one of them cannot decode."""
        try:
            verdict: Verdict = decide(record)
        except PermanentError as error:
            return self._undecodable.setdefault(error.message, undecodable(error))
        return verdict

    def report(self) -> dict[str, Any]:
        """Return what was found so far, as JSON values."""
        return self._findings.report()
