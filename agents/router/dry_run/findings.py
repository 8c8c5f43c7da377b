"""Adds up what would become of events by two sets of rules, and keeps a few of them as examples."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from fleet.lane import select_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agents.router.dry_run.outcome import Outcome, Trouble
    from fleet.lane import Record

MAX_EXAMPLES: Final = 20
"""Examples of each kind of difference."""

MAX_ERROR_EXAMPLES: Final = 3
MAX_TARGETS: Final = 1_000
MAX_ERRORS: Final = 200
"""Different errors that are told apart; templates and garbage could give any number."""

OTHERS: Final = "(others)"
GAINED: Final = "gained"
LOST: Final = "lost"
MOVED: Final = "moved"
UNCHANGED: Final = "unchanged"

_identity = select_headers(["ce_id", "ce_source", "ce_type"])


class Findings:
    """What was found so far, of any number of events."""

    def __init__(self) -> None:
        self.events = 0
        self._kinds: Counter[str] = Counter()
        self._reshaped = 0
        self._targets: dict[str, Counter[str]] = {}
        self._rules: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._copies: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._examples: dict[str, list[dict[str, Any]]] = {GAINED: [], LOST: [], MOVED: []}
        self._errors: tuple[_Errors, _Errors] = (_Errors(), _Errors())

    def add(self, before: Outcome, after: Outcome, records: Sequence[Record]) -> None:
        """Add events of which the same becomes."""
        count = len(records)
        self.events += count
        old, new = before.copies.keys(), after.copies.keys()
        kind = _kind(bool(old - new), bool(new - old))
        self._kinds[kind] += count
        same = old & new
        if any(before.forms[topic] != after.forms[topic] for topic in same):
            self._reshaped += count
        for topic in old | new:
            self._add_target(topic, topic in old, topic in new, count)
        for place, outcome in enumerate((before, after)):
            for rule in outcome.matched:
                self._rules[place][rule] += count
            for rule in outcome.copies.values():
                self._copies[place][rule] += count
            for trouble in outcome.troubles:
                self._errors[place].add(trouble, records)
        if kind != UNCHANGED:
            examples = self._examples[kind]
            for record in records[: MAX_EXAMPLES - len(examples)]:
                examples.append({**place_of(record), "before": sorted(old), "after": sorted(new)})

    def _add_target(self, topic: str, before: bool, after: bool, count: int) -> None:  # noqa: FBT001
        if topic not in self._targets and len(self._targets) >= MAX_TARGETS:
            topic = OTHERS
        found = self._targets.setdefault(topic, Counter())
        found["before"] += count * before
        found["after"] += count * after
        found[UNCHANGED if before and after else GAINED if after else LOST] += count

    @property
    def topics(self) -> list[str]:
        """Targets that any event goes to, of either set."""
        return sorted(self._targets.keys() - {OTHERS})

    def report(self) -> dict[str, Any]:
        """Return all that was found, as JSON values."""
        counts = ("before", "after", GAINED, LOST, UNCHANGED)
        return {
            "events": self.events,
            "diff": {
                **{kind: self._kinds[kind] for kind in (GAINED, LOST, MOVED, UNCHANGED)},
                "reshaped": self._reshaped,
            },
            "targets": {
                topic: {name: self._targets[topic][name] for name in counts}
                for topic in sorted(self._targets)
            },
            "rules": self._by_rule(),
            "examples": self._examples,
            "errors": {"before": self._errors[0].report(), "after": self._errors[1].report()},
        }

    def _by_rule(self) -> dict[str, dict[str, dict[str, int]]]:
        found: dict[str, dict[str, dict[str, int]]] = {}
        for name, matched, copies in zip(("before", "after"), self._rules, self._copies, strict=True):
            found[name] = {
                rule: {"matched": matched[rule], "copies": copies[rule]} for rule in sorted(matched)
            }
        return found


class _Errors:
    """Errors by what they are, with the first few events."""

    def __init__(self) -> None:
        self._found: dict[Trouble, tuple[list[int], list[dict[str, Any]]]] = {}
        self._further = 0

    def add(self, trouble: Trouble, records: Sequence[Record]) -> None:
        found = self._found.get(trouble)
        if found is None:
            if len(self._found) >= MAX_ERRORS:
                self._further += len(records)
                return
            found = self._found[trouble] = ([0], [])
        found[0][0] += len(records)
        found[1].extend(map(place_of, records[: MAX_ERROR_EXAMPLES - len(found[1])]))

    def report(self) -> dict[str, Any]:
        listed = sorted(self._found.items(), key=lambda each: (-each[1][0][0], each[0]))
        return {
            "total": sum(each[0][0] for each in self._found.values()) + self._further,
            "by_reason": [
                {**trouble._asdict(), "events": count, "examples": examples}
                for trouble, ((count,), examples) in listed
            ],
            "not_listed": self._further,
        }


def _kind(loses: bool, gains: bool) -> str:  # noqa: FBT001 - two facts of one event
    if loses:
        return MOVED if gains else LOST
    return GAINED if gains else UNCHANGED


def place_of(record: Record) -> dict[str, Any]:
    """Return how people find an event again: its coordinates, id, source and type; nothing of its payload."""
    found: Iterable[bytes | None] = _identity(record)
    names = ("id", "source", "type")
    attributes: Mapping[str, str | None] = {
        name: None if value is None else value.decode(errors="replace")
        for name, value in zip(names, found, strict=True)
    }
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "published_ms": record.timestamp,
        **attributes,
    }
