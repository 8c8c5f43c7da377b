"""Partial aggregates of a chunk: which events a build takes, which are late, and which it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from agents.aggregator.domain.events import Events
from agents.aggregator.domain.partials import Calculator, Outcome
from agents.aggregator.domain.plan import Compiled
from agents.aggregator.domain.windowing import Window
from tests.support.aggregate_definitions import a_build

MINUTE_MS = 60_000
START = datetime(2026, 1, 5, 13, 0, tzinfo=UTC)
START_MS = int(START.timestamp() * 1_000)


def claim(second: float, npi: str | None = "1", charge: str = "10.00", **fields: Any) -> dict[str, Any]:
    """Return a claim so many seconds after the start."""
    return {
        "event_time": START + timedelta(seconds=second),
        "billing_provider": {"npi": npi},
        "total_charge": Decimal(charge),
        **fields,
    }


def events(*claims: dict[str, Any], published: datetime = START + timedelta(days=9)) -> Events:
    """Return claims as events at offsets from 0."""
    published_ms = [int(published.timestamp() * 1_000)] * len(claims)
    nothing: list[dict[str, str]] = [{}] * len(claims)
    return Events("canonical.claim", 0, range(len(claims)), published_ms, nothing, claims)


def run(build: Compiled, *claims: dict[str, Any], **options: Any) -> Outcome:
    """Aggregate claims in one chunk."""
    return Calculator(build).run(events(*claims), **options)


def counts(outcome: Outcome) -> dict[tuple[str, int], int]:
    """Return the number of events by group and by window, in seconds from the start."""
    return {
        (group, (start - START_MS) // 1_000): count
        for group, shares in outcome.shares.items()
        for start, _, count, _ in shares
    }


def test_events_are_counted_and_summed_by_group_and_window() -> None:
    """Of one chunk there is one share for each group and window, and the greatest event time."""
    claims = [claim(1), claim(59, charge="0.05"), claim(60), claim(2, "2"), claim(3, None)]
    outcome = run(a_build(grace_ms=MINUTE_MS), *claims)
    assert counts(outcome) == {('["1"]', 0): 2, ('["1"]', 60): 1, ('["2"]', 0): 1, ("[null]", 0): 1}
    (share, _) = outcome.shares['["1"]']
    assert share == (START_MS, START_MS + MINUTE_MS, 2, [2, "10.05"])
    assert outcome.watermark_ms == START_MS + MINUTE_MS
    assert (outcome.taken, outcome.missed, outcome.refused) == (5, {}, {})
    assert outcome.places['["1"]'] == [[0, 1], [2]]


@pytest.mark.parametrize("cut", range(5))
def test_lateness_is_decided_event_by_event(cut: int) -> None:
    """An event is late once an earlier one of its source closed its window, wherever chunks are cut."""
    claims = [claim(10), claim(70), claim(20), claim(69), claim(121, "2")]
    calculator = Calculator(a_build(grace_ms=9_000))
    late: list[tuple[int, list[Window]]] = []
    total, mark = 0, None
    for first, part in ((0, claims[:cut]), (cut, claims[cut:])):
        outcome = calculator.run(events(*part), mark)
        mark, total = outcome.watermark_ms, total + outcome.taken
        late += [(first + place, windows) for place, windows in outcome.missed.items()]
    assert late == [(2, [Window(START_MS, START_MS + MINUTE_MS)])]
    assert total == 4


def test_grace_lets_late_events_in() -> None:
    """Until the watermark has passed the end of the window by the grace period."""
    claims = [claim(10), claim(70), claim(20)]
    assert run(a_build(grace_ms=10_001), *claims).missed == {}
    assert list(run(a_build(grace_ms=10_000), *claims).missed) == [2]


def test_an_event_misses_only_those_hopping_windows_that_have_closed() -> None:
    """It counts in the others."""
    build = a_build(windows={"kind": "hopping", "size_ms": MINUTE_MS, "hop_ms": 30_000})
    outcome = run(build, claim(80), claim(45))
    assert [each.start_ms - START_MS for each in outcome.missed[1]] == [0]
    assert counts(outcome) == {('["1"]', 30): 2, ('["1"]', 60): 1}
    assert outcome.taken == 2


def test_sessions_of_a_chunk_are_joined_and_late_ones_left_out() -> None:
    """An event is late once the session that it would be alone has closed."""
    build = a_build(windows={"kind": "session", "gap_ms": 30_000})
    outcome = run(build, claim(0), claim(29), claim(100), claim(70), claim(71), claim(101))
    assert list(outcome.missed) == [3]
    assert counts(outcome) == {('["1"]', 0): 2, ('["1"]', 71): 3}


def test_events_that_do_not_meet_the_filter_count_for_the_watermark_alone() -> None:
    """Else a filter that few events meet would hold windows open."""
    build = a_build(filter="event.total_charge > 50.0")
    outcome = run(build, claim(1, charge="60.00"), claim(500, charge="1.00"), claim(2, charge="70.00"))
    assert (outcome.taken, list(outcome.missed)) == (1, [2])
    assert outcome.watermark_ms == START_MS + 500_000


def test_what_was_sent_again_is_not_judged() -> None:
    """Whether its window is open is for the second stage to say."""
    outcome = run(a_build(), claim(1), watermark_ms=START_MS + 10**9, judge=False)
    assert (outcome.taken, outcome.missed) == (1, {})


@pytest.mark.parametrize(
    ("wrong", "reason", "step"),
    [
        ({"event_time": None}, "no_event_time", "event_time"),
        ({"event_time": START + timedelta(days=11)}, "event_time_in_future", "event_time"),
        ({"billing_provider": None}, "expression_failed", "group_by.provider"),
        ({"total_charge": 1.5}, "refused_argument", "functions[1].of"),
    ],
)
def test_a_refused_event_costs_its_neighbours_nothing(wrong: dict[str, Any], reason: str, step: str) -> None:
    """It is told with the field of the definition, and counts nowhere."""
    outcome = run(a_build(), claim(1), {**claim(2), **wrong}, claim(3))
    ((place, refusal),) = outcome.refused.items()
    assert (place, refusal.reason, refusal.step) == (1, reason, step)
    assert counts(outcome) == {('["1"]', 0): 2}
    assert outcome.places['["1"]'] == [[0, 2]]
    assert outcome.watermark_ms == START_MS + 3_000


def test_an_event_that_no_filter_wants_is_never_refused() -> None:
    """Whatever its other fields are like."""
    build = a_build(filter="event.total_charge > 50.0")
    outcome = run(build, {**claim(1), "event_time": None}, {**claim(2), "billing_provider": None})
    assert (outcome.refused, outcome.shares) == ({}, {})


def test_a_function_takes_the_events_of_its_own_filter() -> None:
    """The others count for the window and for the other functions."""
    functions = [
        {"as": "claims", "function": "count"},
        {"as": "large", "function": "count", "where": "event.total_charge > 50.0"},
        {"as": "first", "function": "first", "of": "event.billing_provider.npi", "type": "string"},
    ]
    outcome = run(a_build(functions=functions), claim(5, charge="60.00"), claim(1))
    ((_, _, count, states),) = outcome.shares['["1"]']
    assert (count, states[:2]) == (2, [2, 1])
    assert states[2][:4] == [START_MS + 1_000, "canonical.claim", 0, 1]
