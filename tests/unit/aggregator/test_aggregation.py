"""The pure aggregation: event time, late events, finals, and independence of chunk bounds."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.aggregator.domain.aggregation import OPEN, ROWS, Aggregation, Fact
from agents.aggregator.domain.windows import DAY_MS, HOUR_MS, SIZES_MS, parse_row_key, row_key, windows_of
from tests.support.aggregation import Run

NOON_MS = 1_767_614_400_000  # 2026-01-05T12:00:00Z
SHORT = Aggregation(grace_ms=HOUR_MS, retention_ms=2 * HOUR_MS, max_closings=2)

facts = st.builds(
    Fact,
    group=st.sampled_from(["1234567893", "1111111112", "a|b"]),
    event_time_ms=st.integers(NOON_MS - 3 * DAY_MS, NOON_MS + 3 * DAY_MS),
    charges=st.integers(0, 10**7).map(lambda cents: Decimal(cents) / 100),
)


def fact(hours: float, charges: str = "10.00", group: str = "1234567893") -> Fact:
    """Return a fact so many hours after noon."""
    return Fact(group, NOON_MS + int(hours * HOUR_MS), Decimal(charges))


def cut(events: list[Fact], sizes: list[int]) -> list[list[Fact]]:
    """Cut a log into chunks of these sizes, in turn."""
    chunks: list[list[Fact]] = []
    at = 0
    while at < len(events):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(events[at : at + size])
        at += size
    return chunks


def reference(
    events: list[Fact], grace_ms: int
) -> tuple[dict[tuple[str, str, int], tuple[int, Decimal]], int]:
    """Return sums by (group, kind, start) and the number of late (event, window) pairs, the plain way."""
    sums: dict[tuple[str, str, int], tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    late, newest = 0, -1
    for event in events:
        for kind, size in SIZES_MS.items():
            start = event.event_time_ms // size * size
            if start + size + grace_ms <= newest:
                late += 1
            else:
                claims, charges = sums[event.group, kind, start]
                sums[event.group, kind, start] = (claims + 1, charges + event.charges)
        newest = max(newest, event.event_time_ms)
    return dict(sums), late


def rows_of(run: Run) -> dict[tuple[str, str, int], tuple[int, Decimal]]:
    """Return the rows in the reference's form."""
    found = {}
    for key, row in run.tables[ROWS].items():
        group, window = parse_row_key(key)
        found[group, window.kind, window.start_ms] = (row["claims"], Decimal(row["charges"]))
    return found


@given(st.lists(facts, max_size=60), st.lists(st.integers(1, 9), min_size=1, max_size=5))
@settings(deadline=None)
def test_sums_equal_a_plain_recomputation_for_any_order_and_any_cut(
    events: list[Fact], sizes: list[int]
) -> None:
    """Rows and late events are those of a plain pass over the log, however it is cut into chunks."""
    aggregation = Aggregation(grace_ms=HOUR_MS)
    run = Run(aggregation).chunks(cut(events, sizes))
    sums, late = reference(events, HOUR_MS)
    assert rows_of(run) == sums
    assert len(run.late) == late


@given(st.lists(facts, max_size=60), st.lists(st.integers(1, 9), min_size=1, max_size=5))
@settings(deadline=None)
def test_finals_late_events_and_state_do_not_depend_on_the_cut(events: list[Fact], sizes: list[int]) -> None:
    """One event a chunk, or any other cut: the same finals in the same order, late events and state."""
    one = Run(SHORT).chunks(cut(events, [1]))
    other = Run(SHORT).chunks(cut(events, sizes))
    assert other.finals == one.finals
    assert other.late == one.late
    assert {name: dict(table.items()) for name, table in other.tables.items()} == {
        name: dict(table.items()) for name, table in one.tables.items()
    }


@given(st.lists(facts, max_size=60))
@settings(deadline=None)
def test_a_window_gets_one_final_and_nothing_after_it(events: list[Fact]) -> None:
    """No window has two finals, and no update follows a final."""
    run = Run(SHORT).chunks(cut(events, [4]))
    closed = set()
    for result in run.results:
        window = (result.group, result.window)
        assert window not in closed
        if result.final:
            closed.add(window)


def test_a_window_closes_when_the_watermark_passes_its_end_and_grace() -> None:
    """The hour closes at end plus grace, not before."""
    run = Run(SHORT)
    run.chunk([fact(0), fact(1.99)])
    assert run.finals == []
    run.chunk([fact(2)])
    assert run.finals == [("1234567893", "hour", NOON_MS, 1, "10.00")]


def test_an_event_after_the_final_is_late_and_not_summed() -> None:
    """The late event is reported with its place in the log, and counted on the row."""
    run = Run(SHORT).chunks([[fact(0), fact(2)], [fact(0.5)]])
    assert run.late == [(2, "hour")]
    row = run.tables[ROWS].get(row_key("1234567893", windows_of(NOON_MS)[0]))
    assert (row["claims"], row["late"], row["final"]) == (1, 1, True)


def test_more_windows_fall_due_than_may_close_at_once() -> None:
    """Beyond the limit, windows close after the next events, each once."""
    groups = [fact(0, group=f"g{number}") for number in range(5)]
    run = Run(SHORT)
    run.chunk([*groups, fact(2.5, group="x")])
    assert len(run.finals) == SHORT.max_closings
    run.chunk([fact(2.5, group="x"), fact(2.5, group="x")])
    assert sorted(group for group, *_ in run.finals) == [f"g{number}" for number in range(5)]


def test_a_closed_window_expires_by_event_time() -> None:
    """A final row stays for the retention, then it is deleted, and nothing waits for it any more."""
    run = Run(SHORT).chunks([[fact(0)], [fact(2)]])
    hour = row_key("1234567893", windows_of(NOON_MS)[0])
    assert hour in run.tables[ROWS]
    run.chunk([fact(4, group="x")])
    assert hour not in run.tables[ROWS]
    assert not [key for key, _ in run.tables[OPEN].items() if key.endswith(hour)]


def test_an_event_set_aside_changes_nothing() -> None:
    """A place in the log without a fact is passed over, and keeps the positions right."""
    run = Run(SHORT).chunks([[None, fact(0), None, fact(2), fact(0)]])
    assert run.late == [(4, "hour")]
