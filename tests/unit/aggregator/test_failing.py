"""Builds that refuse most of their events are found, and only those."""

from __future__ import annotations

import pytest

from agents.aggregator.domain.progress import Progress, SourceProgress, row_of
from agents.aggregator.failing import LEAST, failing
from fleet.lane.stores import MemoryStore
from tests.support.aggregate_definitions import a_build, a_plan


def stores(*counts: tuple[int, int]) -> dict[int, MemoryStore]:
    """Return partitions in which a build took and refused so many events."""
    found = {}
    for number, (taken, refused) in enumerate(counts):
        progress = Progress(begun=0, next=1, taken=taken, refused=refused)
        found[number] = MemoryStore()
        row = row_of(SourceProgress(6, 0, builds={"by-provider~1": progress}))
        found[number].apply({f"canonical.claim/{number}": row}, {}, None)
    return found


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([(0, LEAST)], True),
        ([(0, LEAST - 1)], False),
        ([(LEAST, LEAST)], False),
        ([(LEAST, LEAST), (0, 1)], True),
        ([(0, LEAST), (2 * LEAST, 0)], False),
    ],
)
def test_it_takes_a_share_of_many(counts: list[tuple[int, int]], *, found: bool) -> None:
    """Over all partitions of a worker; a few refused events say little."""
    names = [build.id for build, _ in failing(stores(*counts), a_plan(a_build()), 0.5)]
    assert names == (["by-provider~1"] if found else [])


def test_it_says_what_to_do() -> None:
    """In one line, with how many there were."""
    ((_, why),) = failing(stores((0, 1_500)), a_plan(a_build()), 0.5)
    assert why.startswith(
        "failing: build 1 refused 1,500 of 1,500 events; see `eventfleet dead-letters list`"
    )


@pytest.mark.parametrize("plan", [a_plan(), a_plan(a_build(state="paused"))])
def test_what_is_paused_or_gone_is_left_alone(plan: object) -> None:
    """It takes no events any more."""
    assert list(failing(stores((0, LEAST)), plan, 0.5)) == []  # type: ignore[arg-type]
