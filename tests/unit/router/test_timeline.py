"""Validity of rules, by the publishing time of an event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.router.domain.timeline import Timeline
from tables.routes.rule import Rule, State

START = datetime(2026, 1, 31, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)


def rule(name: str, **change: Any) -> Rule:
    """Return an active rule."""
    known: dict[str, Any] = {"version": 1, "owner": "team", "source": "s", "state": State.ACTIVE}
    return Rule(name=name, targets=(f"to.{name}",), **{**known, **change})


def valid(timeline: Timeline, published_ms: int) -> list[str]:
    """Return the rules that decide an event published then."""
    return [each.name for each in timeline.at(published_ms).rules.rules]


@pytest.mark.parametrize(
    ("offset_ms", "names"),
    [(-1, ["always", "until"]), (0, ["always", "from"]), (999, ["always", "from"]), (1000, ["always"])],
)
def test_a_rule_is_valid_from_an_instant_until_before_another(offset_ms: int, names: list[str]) -> None:
    """The first millisecond belongs to it, that of the end does not."""
    timeline = Timeline.of(
        [
            rule("always"),
            rule("until", valid_until=START),
            rule("from", valid_from=START, valid_until=START + timedelta(seconds=1)),
        ]
    )
    assert valid(timeline, START_MS + offset_ms) == names


def test_an_instant_between_milliseconds_counts_from_the_next() -> None:
    """A record's time has whole milliseconds."""
    timeline = Timeline.of([rule("a", valid_from=START + timedelta(microseconds=1))])
    assert [valid(timeline, START_MS + at) for at in (0, 1)] == [[], ["a"]]


def test_without_validity_there_is_one_segment() -> None:
    """And it carries the offset of the snapshot, that outputs tell."""
    timeline = Timeline.of([rule("a"), rule("b", state=State.PAUSED, valid_from=START)], 17)
    segment = timeline.at(START_MS)
    assert segment.start_ms < 0 < START_MS < segment.end_ms
    assert segment.offset == 17
    assert timeline.at(0) is segment
