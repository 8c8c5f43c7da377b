"""How much each point of the growth is measured with."""

from __future__ import annotations

import pytest

from benchmarks.growth import WORKERS, Scale
from benchmarks.plan import FULL

SCALE = Scale(events=1_000, keys=(10, 2_000, 2_001), runs=3)


@pytest.mark.parametrize(("keys", "runs"), [(10, 3), (2_000, 3), (2_001, 1)])
def test_a_table_far_larger_than_what_is_measured_takes_one_run(keys: int, runs: int) -> None:
    """Filling ten million rows takes longer than all else: once is enough."""
    assert SCALE.runs_of(keys) == runs


@pytest.mark.parametrize(("workers", "before"), [((1,), 10), (WORKERS, 1_010)])
def test_every_row_is_there_before_anything_is_measured(workers: tuple[int, ...], before: int) -> None:
    """Workers that share the work get more events before, in which they find each other."""
    assert SCALE.before(10, workers) == before


def test_a_point_lasts_for_seconds() -> None:
    """At 0.7 million events a CPU second, which is the most that was seen, a run takes three of them."""
    assert FULL.scale.events / 700_000 > 3
