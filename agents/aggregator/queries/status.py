"""How the builds of an aggregation stand, over all partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agents.aggregator.domain.messages import Standing
from agents.aggregator.domain.rows import HISTORY, Heard
from agents.aggregator.queries.asked import instant_text
from tables.aggregations.definition import State

if TYPE_CHECKING:
    from agents.aggregator.domain.plan import Compiled
    from agents.aggregator.domain.rows import Progress
    from agents.aggregator.queries.holding import Holding
    from agents.aggregator.queries.spread import Part

MAX_LISTED: Final = 20
"""Sources that are named; all are counted."""

_SUMMED: Final = ("keys", "size_bytes", "late", "refused", "unwritten")


@dataclass(frozen=True)
class OfStatus:
    """How the builds of an aggregation stand.

    Attributes:
        builds: All of them.
    """

    builds: Sequence[Compiled]

    async def of(self, holding: Holding) -> Part:
        """Return how each stands in one partition; null where nothing has been heard of it there."""
        found = {each.id: holding.progress(each.id) for each in self.builds}
        return {"builds": {name: None if each is None else _packed(each) for name, each in found.items()}}

    def shown(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return what the parts make together."""
        definition = self.builds[0].definition
        builds = [_build(each, [part["builds"].get(each.id) for part in parts]) for each in self.builds]
        serving = next((each for each in builds if each["build"] == definition.serving), None)
        return {
            "aggregation": definition.name,
            "version": definition.version,
            "owner": definition.owner,
            "state": definition.state.value,
            "paused_because": definition.paused_because,
            "serving": definition.serving or None,
            "watermark": None if serving is None else serving["watermark"],
            "builds": builds,
        }


def _packed(progress: Progress) -> dict[str, Any]:
    row = progress.row()
    kept = ("sources", "partitions", "watermark_ms", "over_quota", "problem", "behind", *_SUMMED)
    return {name: row[name] for name in kept}


def _build(compiled: Compiled, rows: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    heard = [row for row in rows if row is not None]
    marks = [None if row is None else row["watermark_ms"] for row in rows]
    sums = {name: sum(row[name] for row in heard) for name in _SUMMED}
    for name, count in _by_sources(heard).items():
        sums[name] += count
    over = any(row["over_quota"] for row in heard)
    return {
        "build": compiled.build.number,
        "serving": compiled.serves,
        "start": compiled.build.start.value,
        "watermark": instant_text(None if None in marks else min(mark for mark in marks if mark is not None)),
        **sums,
        "max_keys": compiled.definition.limits.max_keys,
        "max_bytes": compiled.definition.limits.max_state_mib << 20,
        "over_quota": over,
        "closing_behind": any(row["behind"] for row in heard),
        "problem": next((row["problem"] for row in heard if row["problem"]), ""),
        "sources": _sources(compiled, rows),
        "what_to_do": _advice(compiled, over=over, unwritten=bool(sums["unwritten"])),
    }


def _by_sources(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return what sources count of their own events; each tells all partitions, some later than others."""
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        for key, each in row["sources"].items():
            _, _, late, refused, _ = Heard(*each)
            known = found.get(key, (0, 0))
            found[key] = max(late, known[0]), max(refused, known[1])
    return {
        "late": sum(late for late, _ in found.values()),
        "refused": sum(refused for _, refused in found.values()),
    }


def _sources(compiled: Compiled, rows: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return what the build waits for: a source holds it where it has the least watermark of those live."""
    counts: dict[str, int] = {}
    for row in rows:
        for topic, count in ({} if row is None else row["partitions"]).items():
            counts[topic] = max(count, counts.get(topic, 0))
    keys = list(_keys(compiled, counts))
    merged = {key: _merged(key, rows) for key in keys}
    never = [key for key, each in merged.items() if each is None]
    known = {key: each for key, each in merged.items() if each is not None}
    live = {key: mark for key, (mark, standing) in known.items() if standing == Standing.LIVE.value}
    least = min((mark for mark in live.values() if mark is not None), default=None)
    holding = [key for key, mark in live.items() if mark is None or mark == least]
    found: dict[str, Any] = {
        "never_heard": never[:MAX_LISTED],
        "never_heard_count": len(never),
        "holding": [{"source": key, "watermark": instant_text(live[key])} for key in holding[:MAX_LISTED]],
        "live": len(live),
        "idle": sum(standing == Standing.IDLE.value for _, standing in known.values()),
    }
    if compiled.has_history:
        history = [each for key, each in merged.items() if key.endswith(HISTORY)]
        done = sum(each is not None and each[1] == Standing.DONE.value for each in history)
        found["history"] = {
            "done": done,
            "sources": len(history),
            "complete": done == len(history) > 0,
            "offsets_left": _left(rows),
        }
    return found


def _left(rows: Sequence[Mapping[str, Any] | None]) -> int:
    """Return the offsets of histories that are still to be read, by whoever has heard the newest of each."""
    left: dict[str, int] = {}
    for row in rows:
        for key, each in ({} if row is None else row["sources"]).items():
            left[key] = min(Heard(*each).left, left.get(key, Heard(*each).left))
    return sum(left.values())


def _keys(compiled: Compiled, counts: Mapping[str, int]) -> Iterable[str]:
    for topic in compiled.build.sources:
        # Of a topic that nothing has been heard of, not even its partitions are known.
        numbers = range(counts[topic]) if counts.get(topic) else ("*",)
        for number in numbers:
            yield f"{topic}/{number}"
            if compiled.has_history:
                yield f"{topic}/{number}{HISTORY}"


def _merged(key: str, rows: Sequence[Mapping[str, Any] | None]) -> tuple[int | None, str] | None:
    """Return what a source said last in that partition which has heard least of it; None for never."""
    heard = [None if row is None else row["sources"].get(key) for row in rows]
    told = [each for each in heard if each is not None]
    if len(told) < len(heard) or not told:
        return None
    return min(
        ((mark, standing) for mark, standing, *_ in told),
        key=lambda each: (each[0] is not None, each[0] or 0),
    )


def _advice(compiled: Compiled, *, over: bool, unwritten: bool) -> str:
    definition = compiled.definition
    if over or definition.paused_because:
        return (
            "raise limits.max_keys or limits.max_state_mib, or group by less, or shorten retention_ms; "
            "then resume it"
        )
    if definition.state is State.PAUSED:
        return "resume it for events to be taken again"
    if unwritten:
        return "see problem: some results were not written to the topic"
    return ""
