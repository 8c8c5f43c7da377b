"""Counts of a router partition, exact: of events, and of each version of a rule.

A dead letter that is done again is no new event: of it only the copies count.
A rule is not counted for each event that it does not match: how many events of its source there were
while it was active says that, so a chunk writes the rows of the rules that matched, and no others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from agents.router.domain.decision import CONDITION
from fleet.lane import Chunk, DeadLetter, Effect, Put, Redriven, State
from fleet.lane.dead_letters import PREFIX
from tables.routes.rule import State as RuleState

if TYPE_CHECKING:
    from agents.router.deciding import Copy, Verdict
    from agents.router.domain.timeline import Timeline

COUNTS: Final = "routed"
EVENTS: Final = "(events)"
MATCHED: Final = "(matched)"
UNMATCHED: Final = "(unmatched)"
DEAD: Final = "(dead-letters)"
REDRIVEN: Final = "(redriven)"
SNAPSHOT: Final = "(snapshot)"
SEEN: Final = "(seen)"
_TOTALS: Final = (EVENTS, MATCHED, UNMATCHED, DEAD, REDRIVEN)
MAX_SNAPSHOTS: Final = 500
"""Snapshots whose beginnings a partition remembers, for explanations."""


class Tally:
    """Counts one chunk, and gives the rows that it changes.

    Args:
        state: The chunk's.
        timeline: The snapshot of rules that decides it.
        chunk: The records.

    Attributes:
        by_verdict: Records by what became of them.
        undecodable: Records that could not be decoded.
    """

    def __init__(self, state: State, timeline: Timeline, chunk: Chunk) -> None:
        self.by_verdict: dict[Verdict, int] = {}
        self.undecodable = 0
        self._state = state
        self._timeline = timeline
        self._chunk = chunk
        self._undelivered: Counter[str] = Counter()

    def undelivered(self, copies: Iterable[Copy]) -> None:
        """Count copies of a verdict that were not made."""
        self._undelivered.update(copy.rule for copy in copies)

    def rows(self) -> Iterator[Effect]:
        """Yield the rows of the chunk."""
        yield from self._snapshot()
        totals: Counter[str] = Counter()
        seen: Counter[str] = Counter()
        matched: Counter[str] = Counter()
        delivered: Counter[str] = Counter()
        undecided: Counter[str] = Counter()
        refused = Counter(self._undelivered)
        for verdict, count in self.by_verdict.items():
            decision = verdict.decision
            for copy in verdict.copies:
                delivered[copy.rule] += count
            if verdict.redriven:
                totals[REDRIVEN] += count
                continue
            totals[EVENTS] += count
            outcome = MATCHED if decision.targets else DEAD if decision.errors else UNMATCHED
            totals[outcome] += count
            for source in verdict.sources:
                seen[source] += count
            for rule in decision.matched:
                matched[rule] += count
            for failure in decision.errors:
                (undecided if failure.step == CONDITION else refused)[failure.rule] += count
        if self.undecodable:
            totals[EVENTS] += self.undecodable
            totals[DEAD] += self.undecodable
        for name, count in totals.items():
            yield self._added(name, count)
        for source, count in seen.items():
            yield self._added(f"{SEEN}/{source}", count)
        delivered.subtract(self._undelivered)
        counted = {"matched": matched, "delivered": delivered, "undecided": undecided, "refused": refused}
        yield from self._rules(counted)

    def _rules(self, counted: Mapping[str, Mapping[str, int]]) -> Iterator[Effect]:
        versions = self._timeline.versions
        for name in sorted(set().union(*counted.values())):
            key = f"{self._state.partition}/{name}@{versions[name]}"
            row = dict(self._state.get(COUNTS, key) or _new_row())
            for what, counts in counted.items():
                row[what] += counts.get(name, 0)
            if name in counted["matched"]:
                row["last_match_ms"] = self._state.now_ms
            yield Put(COUNTS, key, row)

    def _added(self, name: str, count: int) -> Put:
        key = f"{self._state.partition}/{name}"
        return Put(COUNTS, key, self._state.get(COUNTS, key, 0) + count)

    def _snapshot(self) -> Iterator[Effect]:
        """Note where a snapshot begins: with which counts its rules begin, and others end."""
        state, offset = self._state, self._timeline.offset
        key = f"{state.partition}/{SNAPSHOT}"
        before = state.get(COUNTS, key) or {"rules": {}, "starts": []}
        first = self._chunk[0]
        if isinstance(first, Redriven):
            return  # Its place is that of long ago.
        since = next((start for start in reversed(before["starts"]) if start[0] == first.topic), None)
        if since is not None and since[2] == offset:
            return
        now = {
            f"{rule.name}@{rule.version}": rule.source
            for rule in self._timeline.rules
            if rule.state is RuleState.ACTIVE
        }
        starts = [*before["starts"], [first.topic, first.offset, offset]][-MAX_SNAPSHOTS:]
        yield Put(COUNTS, key, {"rules": now, "starts": starts})
        for label in now.keys() - before["rules"].keys():
            yield from self._began(label, now[label])
        for label in before["rules"].keys() - now.keys():
            yield from self._ended(label, before["rules"][label])

    def _began(self, label: str, source: str) -> Iterator[Effect]:
        key = f"{self._state.partition}/{label}"
        row = dict(self._state.get(COUNTS, key) or _new_row())
        # It may have been active before: what it did not see meanwhile does not count.
        row["skipped"] += self._seen(source) - row.pop("seen_to", 0)
        yield Put(COUNTS, key, {**row, "source": source, "since_ms": self._state.now_ms})

    def _ended(self, label: str, source: str) -> Iterator[Effect]:
        key = f"{self._state.partition}/{label}"
        row = dict(self._state.get(COUNTS, key) or _new_row())
        yield Put(COUNTS, key, {**row, "seen_to": self._seen(source)})

    def _seen(self, source: str) -> int:
        seen: int = self._state.get(COUNTS, f"{self._state.partition}/{SEEN}/{source}", 0)
        return seen


def _new_row() -> dict[str, Any]:
    counts = dict.fromkeys(("matched", "delivered", "undecided", "refused", "skipped"), 0)
    return {**counts, "last_match_ms": None}


def refused(letters: Iterable[DeadLetter], state: State) -> Iterator[Effect]:
    """Yield the rows of rules whose copies topics refused: those were counted as delivered."""
    labels = (dict(letter.added).get(f"{PREFIX}rule", b"").decode() for letter in letters)
    for label, count in Counter(labels).items():
        key = f"{state.partition}/{label}"
        row = state.get(COUNTS, key)
        if row is not None:
            changed = {"delivered": row["delivered"] - count, "refused": row["refused"] + count}
            yield Put(COUNTS, key, {**row, **changed})


def totals(rows: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of events in rows of any number of partitions."""
    found: Counter[str] = Counter()
    for key, row in rows.items():
        name = key.partition("/")[2]
        if name in _TOTALS:
            found[name] += row
    return dict(found)


def by_rule(rows: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the counts of each version of a rule, ``name@version``, in rows of any number of partitions.

    Each has ``matched`` and ``unmatched`` (events), ``delivered`` (copies), ``failed`` (events that it could
    not decide, and copies that could not be made), ``last_match_ms``, ``since_ms`` and ``active``.
    """
    parts = []
    for key, row in rows.items():
        partition, _, label = key.partition("/")
        if label.startswith("(") or "source" not in row:
            continue
        seen = row.get("seen_to", rows.get(f"{partition}/{SEEN}/{row['source']}", 0)) - row["skipped"]
        counts = {name: row[name] for name in ("matched", "delivered", "last_match_ms", "since_ms")}
        counts["unmatched"] = seen - row["matched"] - row["undecided"]
        counts["failed"] = row["undecided"] + row["refused"]
        counts["active"] = "seen_to" not in row
        parts.append({label: counts})
    return merged(parts)


def new_counts(since_ms: int) -> dict[str, Any]:
    """Return the counts, as `by_rule` has them, of a rule that has met no event since it became active."""
    counts = dict.fromkeys(("matched", "delivered", "unmatched", "failed"), 0)
    return {**counts, "last_match_ms": None, "since_ms": since_ms, "active": True}


def merged(parts: Iterable[Mapping[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the counts by rule of several parts of the partitions together."""
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        for label, counts in part.items():
            into = found.get(label)
            if into is None:
                found[label] = dict(counts)
                continue
            for name in ("matched", "delivered", "unmatched", "failed"):
                into[name] += counts[name]
            into["last_match_ms"] = max(into["last_match_ms"] or 0, counts["last_match_ms"] or 0) or None
            into["since_ms"] = min(into["since_ms"], counts["since_ms"])
            into["active"] = into["active"] or counts["active"]
    return found
