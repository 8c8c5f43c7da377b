"""Which answers of a worker that aggregates are taken as right."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.answers import COUNT, GROUP, SUM, Account
from benchmarks.timed_claims import BASE_MS, JITTER_MS, Rows

MINUTE_MS = 60_000
SECOND = BASE_MS + MINUTE_MS
ROWS: Rows = {
    f"p/{BASE_MS}": (2, 1_050),
    f"q/{BASE_MS}": (1, 700),
    f"r/{BASE_MS}": (3, 700),
    f"p/{SECOND}": (1, 500),
}
KNOWN = {"p": (2, "10.50"), "q": (1, "7.00"), "r": (3, "7.00")}


def row(group: str, start_ms: int, count: int, total: str) -> dict[str, Any]:
    """Return a row of an answer."""
    start = dt.datetime.fromtimestamp(start_ms / 1_000, dt.UTC).isoformat().replace("+00:00", "Z")
    return {"key": {GROUP: group}, "start": start, "values": {COUNT: count, SUM: total}}


def answer(*rows: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer."""
    return {"rows": list(rows)}


def account() -> Account:
    """Return what is known where the first minute has no more events to come."""
    return Account(ROWS, SECOND + JITTER_MS, random.Random(1))


def one_group() -> Account:
    """Return what is known of one group with a second row, of which events still come."""
    rows: Rows = {key: values for key, values in ROWS.items() if key.startswith("p")}
    return Account(rows, SECOND + JITTER_MS, random.Random(1))


def test_rows_that_no_event_comes_for_are_exact() -> None:
    """Count and sum of a window that is over; those of others are not known to the cent."""
    question = one_group().group()
    assert question.path == f"/keys?{GROUP}=p"
    right = row("p", BASE_MS, 2, "10.50")
    assert question.wrong(answer(right)) == ""
    assert question.wrong(answer(right, row("p", SECOND, 1, "3"))) == ""
    assert "is answered as (1, 1050), not (2, 1050)" in question.wrong(answer(row("p", BASE_MS, 1, "10.50")))
    assert "is answered as (2, 1051), not (2, 1050)" in question.wrong(answer(row("p", BASE_MS, 2, "10.51")))
    assert "no row at" in question.wrong(answer(row("p", SECOND, 1, "5")))


def test_no_row_has_more_events_than_were_published() -> None:
    """It may have fewer: they are under way."""
    known = one_group()
    question, right = known.group(), row("p", BASE_MS, 2, "10.50")
    later = answer(right, row("p", SECOND, 2, "9"))
    assert "with 2 of 1 events" in question.wrong(later)
    known.add("p", SECOND + 59_999)
    assert question.wrong(later) == ""
    assert "with 0 of 2 events" in question.wrong(answer(right, row("p", SECOND, 0, "0")))


@pytest.mark.parametrize(
    "more", [row("q", BASE_MS, 1, "7.00"), row("p", BASE_MS, 2, "10.50")], ids=["another's", "twice"]
)
def test_rows_of_another_group_or_twice_are_wrong(more: dict[str, Any]) -> None:
    """Nothing but the rows of the group, each once."""
    assert "answered with others, or twice" in one_group().group().wrong(
        answer(row("p", BASE_MS, 2, "10.50"), more)
    )


def test_a_window_is_over_once_no_event_can_be_of_it() -> None:
    """Events are out of order: one of the window may come until they are past that."""
    rows: Rows = {f"p/{BASE_MS}": (2, 1_050)}
    over = Account(rows, SECOND + JITTER_MS, random.Random(1))
    assert over.top(1).path == f"/windows/{BASE_MS}/top?by={SUM}&n=1"
    with pytest.raises(IndexError):
        Account(rows, SECOND + JITTER_MS - 1, random.Random(1)).top(1)


def test_the_greatest_sums_are_right_whatever_the_order_of_equal_ones() -> None:
    """Each group with its own values, none twice, the greatest first."""
    question = account().top(2)
    p, q, r = (row(group, BASE_MS, *values) for group, values in KNOWN.items())
    assert question.wrong(answer(p, q)) == question.wrong(answer(p, r)) == ""
    assert "are answered as [700, 1050]" in question.wrong(answer(q, p))
    assert "are answered as [1050]" in question.wrong(answer(p))
    assert "are answered as [1050, 1050]" in question.wrong(answer(p, p))
    assert "q at" in question.wrong(answer(p, row("q", BASE_MS, 2, "7.00")))
    assert "are answered as [700, 700]" in question.wrong(answer(q, r))
