"""The shell of the router: records in, effects out, around the pure decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from agents.router.counting import COUNTS, Tally
from agents.router.deciding import (
    HOPS_HEADER,
    MAX_HOPS,
    OWN_HEADERS,
    Copy,
    Decider,
    Verdict,
    hops_of,
)
from agents.router.domain.decision import Failure
from agents.router.domain.timeline import Segment, Timeline
from agents.router.shaping import ShapeError
from fleet.errors import PermanentError
from fleet.lane import Chunk, DeadLetter, Effect, Emit, ForwardAll, Record, Redriven, State, value_prefixes
from fleet.lane.dead_letters import PREFIX
from fleet.lane.effects import Headers
from schemas.codec import HEADER_BYTES, Codec, schema_ids
from tables.routes.errors import RuleError
from tables.routes.rule import Rule, parse_rule

__all__ = ["COUNTS", "Router", "active_rules", "parse_row"]

MAX_SEGMENTS = 8


def parse_row(key: str, value: bytes) -> Rule:
    """Return the rule in a row of the rules topic.

    Raises:
        RuleError: The rule is refused, or is in the row of another one, which it would hide.
    """
    rule = parse_rule(value)
    if rule.name != key:
        message = f"rule {rule.name!r} is in the row of {key!r}"
        raise RuleError(message, field="name", hint="write it under its own name")
    return rule


def active_rules(rows: Mapping[str, Any], offset: int = 0) -> Timeline:
    """Return the snapshot of the rules that the router decides by."""
    return Timeline.of(rows.values(), offset)


class Router:
    """Copies each event to the topics of the rules that match it.

    Args:
        codec: Decodes events, where a rule reads their fields.
        rules: Gives the current snapshot, for the schemas that its projections need.
    """

    def __init__(self, codec: Codec, rules: Callable[[], Timeline] | None = None) -> None:
        self._codec = codec
        self._rules = rules
        self._timeline: Timeline | None = None
        self._deciders: dict[Segment, Decider] = {}

    async def prepare(self, chunk: Chunk) -> None:
        """Look up the chunk's schemas, and those of projections."""
        wanted = schema_ids(value_prefixes(chunk, HEADER_BYTES))
        if self._rules is not None:
            wanted |= self._rules().output_schemas
        await self._codec.ensure(wanted)

    def decider(self, timeline: Timeline, published_ms: int) -> Decider:
        """Return what decides a record published then."""
        if timeline is not self._timeline:
            self._timeline = timeline
            self._deciders = {}
        segment = timeline.at(published_ms)
        found = self._deciders.get(segment)
        if found is None:
            if len(self._deciders) >= MAX_SEGMENTS:
                self._deciders.clear()
            found = self._deciders[segment] = Decider(segment, self._codec)
        return found

    def process(self, chunk: Chunk, state: State) -> Iterator[Effect]:
        """Copy events to the topics that the teams' rules name."""
        timeline: Timeline = state.config
        tally = Tally(state, timeline, chunk)
        outputs = _Outputs()
        decider = self.decider(timeline, chunk[0].timestamp) if chunk else None
        again = bool(chunk) and isinstance(chunk[0], Redriven)
        for record in chunk:
            if decider is None or not decider.covers(record.timestamp):
                decider = self.decider(timeline, record.timestamp)
            try:
                verdict = decider.decide_again(record) if again else decider.decide(record)  # type: ignore[arg-type] # all are
            except PermanentError as error:
                tally.undecodable += not again
                yield DeadLetter(record, error.reason, "decode", error.message)
                continue
            tally.by_verdict[verdict] = tally.by_verdict.get(verdict, 0) + 1
            if verdict.is_plain:
                outputs.forward(verdict, record)
            else:
                # In order with what is forwarded before it.
                yield from outputs.taken()
                yield from self._singly(verdict, record, tally)
            for failure in verdict.decision.errors:
                yield _letter_of(failure, record, verdict)
        yield from outputs.taken()
        yield from tally.rows()

    def _singly(self, verdict: Verdict, record: Record, tally: Tally) -> Iterator[Effect]:
        """Make the copies of a record one by one: they differ from it, or from each other."""
        headers = record.headers
        if verdict.relabels and verdict.copies:
            hops = hops_of(record)
            if hops >= MAX_HOPS:
                tally.undelivered(verdict.copies)
                yield DeadLetter(record, "too_many_hops", "route", f"routed on {hops} times already")
                return
            headers = _without_own(headers, hops)
        for copy in verdict.copies:
            key, value = record.key, record.value
            try:
                if copy.shape is not None:
                    key, value = copy.shape.make(record, verdict.attributes)
            except ShapeError as error:
                tally.undelivered([copy])
                yield _letter(record, f"{error.step}_error", error.step, error.detail, copy)
            except PermanentError as error:
                tally.undelivered([copy])
                yield _letter(record, error.reason, "decode", error.message, copy)
            else:
                yield Emit(copy.topic, key, value, (*headers, *copy.headers), None, record)


class _Feed(NamedTuple):
    """How a record gets into the group of one topic."""

    add_record: Callable[[Record], None]
    add_headers: Callable[[Headers], None]
    headers: Headers


class _Outputs:
    """Records to forward, sorted by topic, in order."""

    def __init__(self) -> None:
        self._groups: dict[str, tuple[list[Record], list[Headers]]] = {}
        self._known: dict[
            Verdict, list[tuple[Callable[[Record], None], Callable[[Headers], None], Headers]]
        ] = {}

    def forward(self, verdict: Verdict, record: Record) -> None:
        """Forward `record` to the targets of its verdict."""
        targets = self._known.get(verdict)
        if targets is None:
            targets = self._known[verdict] = []
            for topic, _, headers, _ in verdict.copies:
                records, added = self._groups.setdefault(topic, ([], []))
                targets.append(_Feed(records.append, added.append, headers))
        for add_record, add_headers, headers in targets:
            add_record(record)
            add_headers(headers)

    def taken(self) -> Iterator[ForwardAll]:
        """Yield what was forwarded so far, once."""
        groups, self._groups, self._known = self._groups, {}, {}
        for topic, (records, added) in groups.items():
            if records:
                yield ForwardAll(topic, records, added)


def _without_own(headers: Any, hops: int) -> Headers:
    """Return the headers of a copy of a copy: only the rule that routed it last is named."""
    kept = (each for each in headers if each[0] not in OWN_HEADERS)
    return (*kept, (HOPS_HEADER, str(hops + 1).encode())) if hops else tuple(kept)


def _letter_of(failure: Failure, record: Record, verdict: Verdict) -> DeadLetter:
    label = f"{failure.rule}@{failure.version}"
    added: list[tuple[str, bytes]] = [(f"{PREFIX}rule", label.encode())]
    if verdict.decision.defaulted and failure is verdict.decision.errors[0]:
        # Of several only one brings the default rules their turn, or they would have it twice.
        added.append((f"{PREFIX}defaulted", b"1"))
    reason = f"{failure.step}_error"
    return DeadLetter(record, reason, failure.step, f"rule {label}: {failure.reason}", tuple(added))


def _letter(record: Record, reason: str, step: str, detail: str, copy: Copy) -> DeadLetter:
    label = copy.headers[0][1]
    added = ((f"{PREFIX}rule", label), (f"{PREFIX}target", copy.topic.encode()))
    return DeadLetter(record, reason, step, f"rule {label.decode()}: {detail}", added)
